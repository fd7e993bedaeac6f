"""concurrent.futures.ThreadPoolExecutor: a log compressed in pieces, which zlib does without the interpreter's lock."""

import concurrent.futures
import zlib


def lines(piece):
    start = piece * 20_000
    return "".join(f"{n:08} user {n * 7919 % 1009} took {n * 104729 % 9973} ms\n" for n in range(start, start + 20_000))


def compress(text):
    return len(zlib.compress(text.encode(), 9))


if __name__ == "__main__":
    texts = [lines(piece) for piece in range(8)]
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        sizes = list(executor.map(compress, texts))
    for piece, (text, size) in enumerate(zip(texts, sizes)):
        print(f"piece {piece}: {len(text)} bytes become {size}")
