"""multiprocessing.Pool.map: the longest Collatz sequences, found in parts of the range."""

import multiprocessing


def length(n):
    steps = 1
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def longest(numbers):
    return max((length(n), -n) for n in numbers)


if __name__ == "__main__":
    parts = [range(start, start + 5_000) for start in range(1, 60_000, 5_000)]
    with multiprocessing.Pool(2) as pool:
        found = pool.map(longest, parts)
    for part, (steps, n) in zip(parts, found):
        print(f"{part[0]:6} to {part[-1]:6}: {-n} takes {steps} steps")
