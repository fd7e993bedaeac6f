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
    questions = [84, 91, 600851475143, 100003 * 100019, *range(10**8 + 1, 10**8 + 800, 2)]
    answers = await asyncio.gather(*(answer(n) for n in questions))
    print(f"of {len(answers)} numbers, these are prime:", *(n for n, factor in zip(questions, answers) if factor == n))


asyncio.run(main())
