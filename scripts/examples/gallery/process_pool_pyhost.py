"""The longest Collatz chain, as process_pool.py finds it, with pyhost: a part that takes too long would be stopped."""

import pyhost


def steps(n):
    count = 0
    while n > 1:
        n, count = 3 * n + 1 if n % 2 else n // 2, count + 1
    return count


def longest(first, last):
    return max((steps(n), n) for n in range(first, last + 1))


with pyhost.Executor(max_workers=2, timeout=30) as executor:
    futures = [executor.submit(longest, first, first + 49) for first in range(1, 20_000, 50)]
    print("up to 20000 the longest chain has %d steps and begins at %d" % max(future.result() for future in futures))
