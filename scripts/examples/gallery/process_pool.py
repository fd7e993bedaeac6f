"""concurrent.futures.ProcessPoolExecutor: the longest Collatz chain, from parts of a range as they are ready."""

import concurrent.futures


def steps(n):
    count = 0
    while n > 1:
        n, count = 3 * n + 1 if n % 2 else n // 2, count + 1
    return count


def longest(first, last):
    return max((steps(n), n) for n in range(first, last + 1))


if __name__ == "__main__":
    best = (0, 1)
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(longest, first, first + 49) for first in range(1, 20_000, 50)]
        for future in concurrent.futures.as_completed(futures):
            best = max(best, future.result())
    print("up to 20000 the longest chain has %d steps and begins at %d" % best)
