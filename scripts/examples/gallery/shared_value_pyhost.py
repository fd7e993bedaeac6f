"""Pi by throwing darts, as shared_value.py finds it, with pyhost: the sum of what the calls return."""

import random

import pyhost


def throw(seed, darts):
    place = random.Random(seed).random
    return sum(place() ** 2 + place() ** 2 <= 1 for _ in range(darts))


hits = sum(pyhost.map(throw, range(6), [200_000] * 6))
print(f"{hits} of 1200000 darts hit: pi is about {4 * hits / 1_200_000:.3f}")
