"""multiprocessing.Process and Queue: workers of one's own make, which take boards and count the ways to place queens."""

import multiprocessing


def ways(size, columns=0, falling=0, rising=0):
    """In how many ways queens can stand in the rows that are left."""
    if columns == (1 << size) - 1:
        return 1
    count, free = 0, ~(columns | falling | rising) & ((1 << size) - 1)
    while free:
        place = free & -free
        free ^= place
        count += ways(size, columns | place, (falling | place) << 1, (rising | place) >> 1)
    return count


def work(tasks, results):
    for size, first in iter(tasks.get, None):
        place = 1 << first
        results.put((size, ways(size, place, place << 1, place >> 1)))


if __name__ == "__main__":
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(tasks, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    boards = [(size, first) for size in (6, 7, 8, 9) for first in range(size)]
    for board in boards:
        tasks.put(board)
    for _ in workers:
        tasks.put(None)

    counts = dict.fromkeys((6, 7, 8, 9), 0)
    for _ in boards:
        size, count = results.get()
        counts[size] += count
    for worker in workers:
        worker.join()
    for size, count in counts.items():
        print(f"{size} queens: {count} ways")
