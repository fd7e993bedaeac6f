"""Prime numbers, one call per number:

    seq 1 100000 | pyhost map scripts/examples/primes.py:is_prime -j2
"""


def is_prime(n):
    """Whether n is a prime number, by trial division."""
    if n < 4:
        return n > 1
    if n % 2 == 0 or n % 3 == 0:
        return False
    divisor = 5
    while divisor * divisor <= n:
        if n % divisor == 0 or n % (divisor + 2) == 0:
            return False
        divisor += 6
    return True
