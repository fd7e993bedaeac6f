"""What a storm calls. Every function first notes its number in a file, in one write: what ran, and
how often, seen from outside."""

import asyncio
import os
import signal
import time


def note(path, number):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % number)
    os.close(file)
    return number


def note_pair(pair):
    return note(*pair)


def take_text(path, number, text):
    note(path, number)
    return len(text)


def give_text(path, number, size):
    note(path, number)
    return "x" * size


def fail(path, number):
    note(path, number)
    raise ValueError(f"number {number}")


def say(path, number):
    note(path, number)
    for line in range(3):
        print("line", line, "of", number)
    return number


def nap(path, number, seconds):
    note(path, number)
    time.sleep(seconds)
    return number


def spin(path, number):
    note(path, number)
    while True:
        time.sleep(0)


def loop_in_c(path, number):
    note(path, number)
    sum(range(10**13))


def stop(path, number):
    note(path, number)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def die(path, number):
    note(path, number)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def leave(path, number):
    note(path, number)
    os._exit(number % 3)


async def await_nap(path, number, seconds):
    note(path, number)
    await asyncio.sleep(seconds)
    return number


def prepare():
    pass
