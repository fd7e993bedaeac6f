"""A service that answers while others compute, as asyncio_executor.py, with pyhost: no executor to carry about."""

import asyncio

import pyhost


def largest_factor(n):
    factor, largest = 2, 1
    while factor * factor <= n:
        while n % factor == 0:
            n, largest = n // factor, factor
        factor += 1
    return max(n, largest)


async def answer(n):
    if n < 1000:
        return largest_factor(n)
    return await pyhost.aio.run(largest_factor, n)


async def main():
    questions = [84, 600851475143, 999999000001, 10_000_019 * 3, 91, 999983 * 999979, 999961 * 999959, 360]
    answers = await asyncio.gather(*(answer(n) for n in questions))
    for n, factor in zip(questions, answers):
        print(f"the largest prime factor of {n} is {factor}")


asyncio.run(main())
