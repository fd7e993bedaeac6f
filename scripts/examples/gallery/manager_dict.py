"""multiprocessing.Manager: processes put what they found into one dict, which a server process holds."""

import multiprocessing


def divisors(n):
    return sum(d + (n // d if d * d != n else 0) for d in range(2, int(n ** 0.5) + 1) if n % d == 0) + 1


def search(numbers, found):
    for n in numbers:
        partner = divisors(n)
        if n < partner and divisors(partner) == n:
            found[n] = partner


if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        found = manager.dict()
        searches = [multiprocessing.Process(target=search, args=(range(start, 20_000, 2), found)) for start in (2, 3)]
        for process in searches:
            process.start()
        for process in searches:
            process.join()
        for n, partner in sorted(found.items()):
            print(f"{n} and {partner} are the sums of each other's divisors")
