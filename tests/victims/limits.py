"""Functions that take too much, or fail for a while."""

import asyncio
import ctypes
import itertools
import os
import re
import threading
import time


def same(x):
    return x


def spin(x):
    """A loop of Python code."""
    turns = 0
    while True:
        turns += 1


def hold_interpreter(x):
    """A loop of C code, in which no Python code runs and no signal is looked at."""
    return sum(itertools.repeat(0, 10**13))


def refuse_to_stop(x):
    """Catches whatever asks it to stop."""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


def clean_up(path):
    """Leaves a note when it is asked to stop."""
    try:
        time.sleep(60)
    finally:
        with open(path, "w") as note:
            note.write("cleaned up")


def nap(seconds):
    time.sleep(seconds)
    return seconds


async def nap_without_blocking(seconds):
    await asyncio.sleep(seconds)
    return seconds


def hoard(mebibytes):
    """Holds so much memory, all of it touched."""
    return len(bytearray(b"x") * (mebibytes << 20))


def hoard_in_children(mebibytes):
    """The same in two processes of its own, half of it in each: more than RLIMIT_DATA knows of."""
    for _ in range(2):
        if os.fork() == 0:
            held = bytearray(b"x") * (mebibytes // 2 << 20)
            time.sleep(60)
            os._exit(len(held) & 1)
    time.sleep(60)


def fail_at_first(path, exception="OSError", times=2):
    """Raises so many times; then returns how often it was called. Counts in a file."""
    with open(path, "a+") as calls:
        calls.write(".")
        calls.seek(0)
        count = len(calls.read())
    if count <= times:
        raise {"OSError": FileNotFoundError, "ValueError": ValueError}[exception](f"attempt {count}")
    return count


def die_at_first(path):
    """Kills its process on the first call; then returns how often it was called."""
    with open(path, "a+") as calls:
        calls.write(".")
        calls.seek(0)
        count = len(calls.read())
    if count == 1:
        os.kill(os.getpid(), 9)
    return count


def pid(x):
    return os.getpid()


def environment(name):
    return os.environ.get(name)


prepared = []


def prepare():
    prepared.append(os.getpid())


def prepare_badly():
    raise RuntimeError("no database")


def is_prepared(x):
    return prepared == [os.getpid()]


def most_at_once(seconds, lock=threading.Lock(), now=[], most=[0]):
    """How many calls have run at a time in this worker so far."""
    with lock:
        now.append(None)
        most[0] = max(most[0], len(now))
    time.sleep(seconds)
    with lock:
        now.pop()
    return most[0]


def lie_about_replies(x):
    """Writes nonsense where the host reads how many replies there are."""
    with open("/proc/self/maps") as maps:
        regions = [line for line in maps if " rw-s " in line and "pyhost" in line]
    start = int(re.match("[0-9a-f]+", regions[0])[0], 16)
    ctypes.c_uint32.from_address(start + 64).value += 8  # reply_head; positions are multiples of 16
    time.sleep(60)
