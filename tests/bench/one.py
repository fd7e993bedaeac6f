"""One scenario for one pool, in a process of its own; prints {metric: value} as JSON.

Usage: [pyhost run] one.py SCENARIO PEER      see SCENARIOS and PEERS below
"""

import json
import sys
import time

import work

WORKERS = 2


class Serial:
    """No pool at all: what the work itself costs."""

    def call(self, x):
        return work.noop(x)

    def submit_all(self, count):
        return [work.noop(i) for i in range(count)]

    def map(self, xs):
        return [work.square(x) for x in xs]


class MpPool:
    def __init__(self):
        import multiprocessing
        self.pool = multiprocessing.get_context("fork").Pool(WORKERS)

    def call(self, x):
        return self.pool.apply_async(work.noop, (x,)).get()

    def submit_all(self, count):
        return [result.get() for result in [self.pool.apply_async(work.noop, (i,)) for i in range(count)]]

    def map(self, xs):
        return self.pool.map(work.square, xs)

    def close(self):
        self.pool.terminate()


class Futures:
    """A concurrent.futures executor; its map gets the chunk size that suits it best."""

    chunk = {"chunksize": 10_000}

    def __init__(self):
        import concurrent.futures
        import multiprocessing
        self.executor = concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork"))

    def call(self, x):
        return self.executor.submit(work.noop, x).result()

    def submit_all(self, count):
        return [future.result() for future in [self.executor.submit(work.noop, i) for i in range(count)]]

    def map(self, xs):
        return list(self.executor.map(work.square, xs, **self.chunk))

    def close(self):
        self.executor.shutdown()


class Pyhost(Futures):
    """The same interface; no chunk size, it finds its own."""

    chunk = {}

    def __init__(self):
        import pyhost
        self.executor = pyhost.Executor(max_workers=WORKERS)


class Joblib:
    def __init__(self):
        import joblib
        self.parallel, self.delayed = joblib.Parallel(WORKERS), joblib.delayed
        self.parallel.__enter__()

    def call(self, x):
        return self.parallel([self.delayed(work.noop)(x)])[0]

    def submit_all(self, count):
        return self.parallel(self.delayed(work.noop)(i) for i in range(count))

    def map(self, xs):
        return self.parallel(self.delayed(work.square)(x) for x in xs)

    def close(self):
        self.parallel.__exit__(None, None, None)


PEERS = {"serial": Serial, "mp.Pool": MpPool, "futures": Futures, "joblib": Joblib, "pyhost": Pyhost}


def latency(peer, count=2000):
    for i in range(200):
        peer.call(i)
    times = []
    for i in range(count):
        begin = time.perf_counter()
        peer.call(i)
        times.append((time.perf_counter() - begin) * 1e6)
    times.sort()
    return {"p50_us": times[count // 2], "p99_us": times[count * 99 // 100]}


def rate(work_once, count, warm):
    """Items per second, and a check of the answer."""
    work_once(warm)
    begin = time.perf_counter()
    answer = work_once(count)
    seconds = time.perf_counter() - begin
    if len(answer) != count:
        raise SystemExit(f"{len(answer)} results for {count} items")
    return {"per_second": count / seconds}


def single(peer):
    return rate(peer.submit_all, 20_000, 1000)


def map_ints(peer):
    return rate(lambda count: peer.map(range(count)), 1_000_000, 50_000)


SCENARIOS = {"latency": latency, "single": single, "map": map_ints}


def main():
    scenario, name = sys.argv[1:3]
    peer = PEERS[name]()
    print(json.dumps(SCENARIOS[scenario](peer)))
    getattr(peer, "close", lambda: None)()


if __name__ == "__main__":
    main()
