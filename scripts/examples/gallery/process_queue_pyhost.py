"""The ways to place queens, as process_queue.py counts them, with pyhost: no queues, no workers to end."""

import pyhost


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


def ways_from(size, first):
    place = 1 << first
    return size, ways(size, place, place << 1, place >> 1)


boards = [(size, first) for size in (6, 7, 8, 9) for first in range(size)]
counts = dict.fromkeys((6, 7, 8, 9), 0)
for size, count in pyhost.map(ways_from, *zip(*boards)):
    counts[size] += count
for size, count in counts.items():
    print(f"{size} queens: {count} ways")
