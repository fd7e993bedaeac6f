"""concurrent.futures.ProcessPoolExecutor: primes, counted in parts of a range as they are ready."""

import concurrent.futures
import math


def is_prime(n):
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


def count(first, last):
    return sum(is_prime(n) for n in range(first, last + 1))


if __name__ == "__main__":
    found = 0
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(count, first, first + 199) for first in range(1, 80_000, 200)]
        for future in concurrent.futures.as_completed(futures):
            found += future.result()
    print(f"there are {found} primes up to 80000")
