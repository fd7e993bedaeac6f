"""asyncio with run_in_executor: a service that answers small questions while a process pool works on the hard ones."""

import asyncio
import concurrent.futures


def largest_factor(n):
    factor, largest = 2, 1
    while factor * factor <= n:
        while n % factor == 0:
            n, largest = n // factor, factor
        factor += 1
    return max(n, largest)


async def answer(loop, executor, n):
    if n < 1000:
        return largest_factor(n)
    return await loop.run_in_executor(executor, largest_factor, n)


async def main():
    loop = asyncio.get_running_loop()
    questions = [84, 91, 600851475143, 100003 * 100019, *range(10**8 + 1, 10**8 + 800, 2)]
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        answers = await asyncio.gather(*(answer(loop, executor, n) for n in questions))
    print(f"of {len(answers)} numbers, these are prime:", *(n for n, factor in zip(questions, answers) if factor == n))


if __name__ == "__main__":
    asyncio.run(main())
