"""Primes, as process_pool.py counts them, with pyhost: a part that takes too long would be stopped."""

import math

import pyhost


def is_prime(n):
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


def count(first, last):
    return sum(is_prime(n) for n in range(first, last + 1))


with pyhost.Executor(max_workers=2, timeout=30) as executor:
    futures = [executor.submit(count, first, first + 199) for first in range(1, 80_000, 200)]
    found = sum(future.result() for future in futures)
print(f"there are {found} primes up to 80000")
