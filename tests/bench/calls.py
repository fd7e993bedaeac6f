"""Scenarios of calls: latency, rates, values, what a task in flight costs, cancelling."""

import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
import time

import work

now = time.perf_counter


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def reset_peak():
    """Forgets the peak; returns what is resident now, in KiB."""
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return peak_kib()


def latency(pool, count=2000):
    for i in range(200):
        pool.call(work.noop, i)
    times = []
    for i in range(count):
        begin = now()
        pool.call(work.noop, i)
        times.append((now() - begin) * 1e6)
    times.sort()
    return {"p50_us": times[count // 2], "p99_us": times[count * 99 // 100]}


def awaited(pool, count=2000, at_once=100):
    """One call after the other from an event loop, and many at a time."""
    async def main():
        for i in range(200):
            await pool.awaited(work.noop, i)
        times = []
        for i in range(count):
            begin = now()
            await pool.awaited(work.noop, i)
            times.append((now() - begin) * 1e6)
        times.sort()
        begin = now()
        for _ in range(count // at_once):
            await asyncio.gather(*(pool.awaited(work.noop, i) for i in range(at_once)))
        return {"p50_us": times[count // 2], "p99_us": times[count * 99 // 100],
                "per_second": count / (now() - begin)}
    return asyncio.run(main())


def submit_all(pool, function, items):
    return [handle.result() for handle in [pool.submit(function, item) for item in items]]


def single(pool, count=20_000):
    submit_all(pool, work.noop, range(1000))
    begin = now()
    answers = submit_all(pool, work.noop, range(count))
    seconds = now() - begin
    check(len(answers) == count and answers[-1] == count - 1)
    return {"per_second": count / seconds}


def map_ints(pool, count=1_000_000):
    pool.map(work.square, range(50_000))
    begin = now()
    answers = pool.map(work.square, range(count))
    seconds = now() - begin
    check(len(answers) == count and answers[-1] == (count - 1) ** 2)
    return {"per_second": count / seconds}


def value(pool, size):
    sent = work.nested(size)
    for _ in range(3):
        check(pool.call(work.noop, sent) == sent)
    times = []
    end = now() + 1.5
    while len(times) < 3 or (len(times) < 500 and now() < end):
        begin = now()
        pool.call(work.noop, sent)
        times.append((now() - begin) * 1e3)
    return {"p50_ms": statistics.median(times)}


def array(pool, mib=256, count=8):
    """An array that many calls take: in the first map, in later ones, and after it was changed in place."""
    import numpy
    numbers = numpy.ones(mib << 17)
    found = {}
    pool.map(work.noop, range(10))
    for name in ("first_ms", "again_ms", "again_ms", "again_ms", "changed_ms"):
        if name == "changed_ms":
            numbers[-1] = 2
        begin = now()
        totals = pool.map(work.total, [numbers] * count)
        found.setdefault(name, []).append((now() - begin) * 1e3)
        found["stale"] = [int(sum(total != numbers.sum() for total in totals))]
    return {name: statistics.median(values) for name, values in found.items()}


def text_echo(_, size):
    """JSON text to objects and back, in one process: the codec alone."""
    import pyhost._core  # loads the native half
    core = sys.modules["_pyhost_core"]
    text = json.dumps(work.nested(size), separators=(",", ":")).encode()
    ours = theirs = float("inf")
    for _ in range(200 if size < 10_000 else 5):
        begin = now()
        core.json_dumps(core.json_loads(text))
        middle = now()
        json.dumps(json.loads(text), separators=(",", ":"))
        ours, theirs = min(ours, middle - begin), min(theirs, now() - middle)
    del pyhost
    return {"core_us": ours * 1e6, "python_us": theirs * 1e6, "times_faster": theirs / ours}


def in_flight(pool, count):
    submit_all(pool, work.noop, range(1000))
    before = reset_peak()
    begin = now()
    handles = [pool.submit(work.noop, i) for i in range(count)]
    for handle in handles:
        handle.result()
    seconds = now() - begin
    return {"per_task_us": seconds / count * 1e6, "bytes_per_task": max(0, peak_kib() - before) * 1024 / count}


def map_in_flight(pool, count):
    """The memory that a map of so many items adds, its list of results left out."""
    pool.map(work.noop, range(1000))
    items = range(count)
    before = reset_peak()
    for _ in pool.executor.map(work.noop, items):
        pass
    return {"bytes_per_task": max(0, peak_kib() - before) * 1024 / count}


def cancel(pool, count=100_000):
    """Cancels what is queued behind two long calls, and looks whether any of it ran."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ran")
        pool.call(work.noop, 1)
        long_ones = [pool.submit(work.pid_after, 2.0) for _ in range(2)]
        time.sleep(0.3)  # both run, and what a pool sends ahead is sent
        handles = [pool.submit(work.mark, path) for _ in range(count)]
        begin = now()
        cancelled = sum(handle.cancel() for handle in handles)
        seconds = now() - begin
        for handle in long_ones:
            handle.result()
        for handle in handles:
            if not handle.cancelled():
                handle.result()
        pool.call(work.noop, 1)
        started = os.path.getsize(path) if os.path.exists(path) else 0
    check(started + cancelled == count)
    return {"each_us": seconds / count * 1e6, "not_cancelled": count - cancelled}


def check(holds):
    if not holds:
        raise SystemExit("a wrong answer")


SCENARIOS = {"latency": latency, "awaited": awaited, "single": single, "map": map_ints, "value": value, "text": text_echo, "array": array,
             "in_flight": in_flight, "map_in_flight": map_in_flight, "cancel": cancel}
