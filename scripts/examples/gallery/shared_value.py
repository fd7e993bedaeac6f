"""multiprocessing.Value: processes count into one number in shared memory."""

import multiprocessing
import random


def throw(seed, darts, hits):
    place = random.Random(seed).random
    inside = sum(place() ** 2 + place() ** 2 <= 1 for _ in range(darts))
    with hits.get_lock():
        hits.value += inside


if __name__ == "__main__":
    hits = multiprocessing.Value("q", 0)
    players = [multiprocessing.Process(target=throw, args=(seed, 200_000, hits)) for seed in range(6)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    print(f"{hits.value} of 1200000 darts hit: pi is about {4 * hits.value / 1_200_000:.3f}")
