"""The longest Collatz sequences, as pool_map.py finds them, with pyhost."""

import pyhost


def length(n):
    steps = 1
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def longest(numbers):
    return max((length(n), -n) for n in numbers)


parts = [range(start, start + 5_000) for start in range(1, 60_000, 5_000)]
for part, (steps, n) in zip(parts, pyhost.map(longest, parts)):
    print(f"{part[0]:6} to {part[-1]:6}: {-n} takes {steps} steps")
