"""Scenarios of trouble: a task that kills its worker, one that never ends, tasks of unequal length,
an endless input."""

import os
import random
import tempfile
import time

import calls
import work

now = time.perf_counter


def moment_in(path):
    with open(path) as file:
        return float(file.read())


def crash(pool, count=20, patience=3.0):
    """The sixth of 20 tasks kills its worker."""
    for _ in range(8):
        pool.call(work.noop, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "died")
        handles = [pool.submit(work.nap_or_die, path if i == 5 else "") for i in range(count)]
        lost, told = 0, None
        deadline = time.monotonic() + patience
        for i in (5, *[i for i in range(count) if i != 5]):
            try:
                if handles[i].result(max(0.01, deadline - time.monotonic())) != "ok":
                    lost += 1
            except BaseException as error:  # noqa: B902, any error is the answer
                if i == 5:
                    told = (time.monotonic() - moment_in(path)) * 1e3 if "Timeout" not in type(error).__name__ else None
                else:
                    lost += 1
        metrics = {"others_lost": lost}
        if told is not None:
            metrics["told_ms"] = told
        begin = time.monotonic()
        try:
            pool.submit(work.noop, 7).result(patience)
            metrics["next_ms"] = (time.monotonic() - begin) * 1e3
        except BaseException:  # noqa: B902
            metrics["pool_broken"] = 1
        return metrics


def limit(pool, hard, grace=0.1):
    """How far past its limit of half a second a task is told, and what becomes of the others."""
    limited = pool.limited(timeout=0.5, grace=grace)
    for _ in range(8):
        pool.call(work.noop, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "began")
        stuck = limited.submit(work.never_return, path, hard)
        others = [pool.submit(work.pid_after, 0.02) for _ in range(20)]
        try:
            stuck.result(10)
        except Exception as error:
            kind = type(error).__name__
        past = (time.monotonic() - moment_in(path) - 0.5) * 1e3
        calls.check(kind == "TaskTimeout")
        failed = sum(other.exception(10) is not None for other in others)
    return {"past_limit_ms": past - (grace * 1e3 if hard else 0), "others_failed": failed}


def skewed():
    chance = random.Random(3)
    lengths = [chance.paretovariate(1.3) for _ in range(64)]
    return [length * 4.0 / sum(lengths) for length in lengths]


def ideal(lengths, workers):
    """The time when each free worker takes the next task in order."""
    busy = [0.0] * workers
    for length in lengths:
        busy[busy.index(min(busy))] += length
    return max(busy)


def skew(pool, workers=2):
    lengths = skewed()
    pool.map(work.burn, [0.001] * 8)
    begin = now()
    pool.map(work.burn, lengths)
    seconds = now() - begin
    return {"over_half_the_sum": seconds / (sum(lengths) / workers), "over_ideal": seconds / ideal(lengths, workers)}


def stream(pool, count=5_000_000):
    """Items of a generator; how far it was read ahead of the results."""
    read = 0

    def items(length):
        nonlocal read
        for read in range(1, length + 1):
            yield read

    for _ in pool.stream(work.square, items(50_000)):
        pass
    read = 0
    before = calls.reset_peak()
    ahead = 0
    begin = now()
    for taken, _ in enumerate(pool.stream(work.square, items(count))):
        if taken % 1000 == 0 and read - taken > ahead:
            ahead = read - taken
    seconds = now() - begin
    calls.check(taken + 1 == count)
    return {"per_second": count / seconds, "mib": (calls.peak_kib() - before) / 1024, "read_ahead": ahead}


SCENARIOS = {"crash": crash, "limit": limit, "skew": skew, "stream": stream}
