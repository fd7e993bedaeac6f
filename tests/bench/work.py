"""What the benchmarks call."""

import os
import random
import signal
import time


def noop(x):
    return x


def square(x):
    return x * x


def total(array):
    return float(array.sum())


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def use_numpy(seconds):
    import numpy
    numpy.arange(10).sum()
    time.sleep(seconds)
    return os.getpid()


def burn(seconds):
    """Uses so much CPU time of its thread, which is not wall time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(200):
            pass
    return seconds


def count_up(rounds):
    """Pure Python on the CPU; how long it took."""
    begin = time.perf_counter()
    total = 0.0
    for i in range(rounds):
        total += i * 0.5
    return time.perf_counter() - begin


def mark(path):
    """Leaves a file: it ran."""
    with open(path, "a") as file:
        file.write("x")


def stamp(path):
    """Notes the moment in a file, on the clock that all processes share."""
    with open(path, "w") as file:
        file.write(repr(time.monotonic()))


def nap_or_die(path):
    """50 ms, or the end of the worker."""
    time.sleep(0.05)
    if path:
        stamp(path)
        os.kill(os.getpid(), signal.SIGKILL)
    return "ok"


def never_return(path, hard):
    """A loop in Python, or one in C that keeps the GIL."""
    stamp(path)
    if hard:
        sum(range(10 ** 13))
    while True:
        time.sleep(0)


def nested(bytes_wanted):
    """A value of dicts and lists whose JSON has about so many bytes; the same every time."""
    chance = random.Random(5)
    words = ["red", "green", "blue", "cyan", "magenta", "yellow", "black"]

    def entry(number):
        return {"number": number, "label": f"{chance.choice(words)} {chance.randrange(10**6)}",
                "weight": chance.random() * 100, "valid": chance.random() < 0.5,
                "next": None if number % 3 else number + 1,
                "words": [chance.choice(words) for _ in range(3)],
                "place": {"x": chance.uniform(-1, 1), "y": chance.uniform(-1, 1)}}

    return {"format": 1, "entries": [entry(i) for i in range(max(1, bytes_wanted // 205))]}
