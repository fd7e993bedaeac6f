"""The amicable numbers, as manager_dict.py finds them, with pyhost: results come back, so nothing need be shared."""

import pyhost


def divisors(n):
    return sum(d + (n // d if d * d != n else 0) for d in range(2, int(n ** 0.5) + 1) if n % d == 0) + 1


def partner_of(n):
    partner = divisors(n)
    return partner if n < partner and divisors(partner) == n else None


numbers = range(2, 20_000)
for n, partner in zip(numbers, pyhost.map(partner_of, numbers)):
    if partner:
        print(f"{n} and {partner} are the sums of each other's divisors")
