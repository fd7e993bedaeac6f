"""A log compressed in pieces, as thread_pool.py does it, with pyhost: making the text runs in parallel, too."""

import zlib

import pyhost


def lines(piece):
    start = piece * 20_000
    return "".join(f"{n:08} user {n * 7919 % 1009} took {n * 104729 % 9973} ms\n" for n in range(start, start + 20_000))


def sizes(piece):
    text = lines(piece)
    return len(text), len(zlib.compress(text.encode(), 9))


with pyhost.Executor(2) as executor:
    for piece, (before, after) in enumerate(executor.map(sizes, range(8))):
        print(f"piece {piece}: {before} bytes become {after}")
