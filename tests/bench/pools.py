"""The pools that are compared, behind one small interface. Each imports what it needs when it starts.

submit(function, *arguments) -> something with result(); map(function, items) -> list;
stream(function, items) -> iterator of results while items are read; close().
"""


class Serial:
    """No pool at all: what the work itself costs."""

    def __init__(self, workers):
        del workers

    def map(self, function, items):
        return [function(item) for item in items]

    def stream(self, function, items):
        return map(function, items)

    def call(self, function, *arguments):
        return function(*arguments)

    def close(self):
        pass


class Submitting:
    """What pools share that have submit."""

    def call(self, function, *arguments):
        return self.submit(function, *arguments).result()


class MpHandle:
    __slots__ = ("result",)

    def __init__(self, answer):
        self.result = answer.get


class MpPool(Submitting):
    def __init__(self, workers):
        import multiprocessing
        self.pool = multiprocessing.get_context("fork").Pool(workers)

    def submit(self, function, *arguments):
        return MpHandle(self.pool.apply_async(function, arguments))

    def map(self, function, items):
        return self.pool.map(function, items)

    def stream(self, function, items):
        return self.pool.imap(function, items, 10_000)  # alone it sends one by one, 200 times slower

    def close(self):
        self.pool.terminate()


class PyhostPool(MpPool):
    """The same calls of the same interface, without a chunk size."""

    def __init__(self, workers):
        import pyhost
        self.pool = pyhost.Pool(workers)

    def stream(self, function, items):
        return self.pool.imap(function, items)


class Futures(Submitting):
    """A concurrent.futures executor; its map gets the chunk size that suits it best."""

    chunk = {"chunksize": 10_000}
    stream_options = chunk

    def __init__(self, workers):
        import concurrent.futures
        import multiprocessing
        self.executor = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))

    def submit(self, function, *arguments):
        return self.executor.submit(function, *arguments)

    def awaited(self, function, *arguments):
        import asyncio
        return asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)

    def map(self, function, items):
        chunk = self.chunk if len(items) > 10_000 else {}
        return list(self.executor.map(function, items, **chunk))

    def stream(self, function, items):
        return self.executor.map(function, items, **self.stream_options)

    def close(self):
        self.executor.shutdown()


class Threads(Futures):
    chunk = stream_options = {}

    def __init__(self, workers):
        import concurrent.futures
        self.executor = concurrent.futures.ThreadPoolExecutor(workers)


class Pyhost(Futures):
    """The same interface; no chunk size, it finds its own."""

    chunk = {}
    stream_options = {"buffersize": 100_000}

    def __init__(self, workers):
        import pyhost
        self.executor = pyhost.Executor(max_workers=workers)

    def awaited(self, function, *arguments):
        import pyhost
        return pyhost.aio.run(function, *arguments, executor=self.executor)

    def limited(self, **limits):
        return self.executor.options(**limits)


class Joblib:
    def __init__(self, workers):
        import joblib
        self.parallel, self.delayed = joblib.Parallel(workers), joblib.delayed
        self.parallel.__enter__()

    def call(self, function, *arguments):
        return self.parallel([self.delayed(function)(*arguments)])[0]

    def map(self, function, items):
        return self.parallel(self.delayed(function)(item) for item in items)

    def close(self):
        self.parallel.__exit__(None, None, None)


POOLS = {"serial": Serial, "threads": Threads, "mp.Pool": MpPool, "futures": Futures, "joblib": Joblib,
         "pyhost": Pyhost, "pyhost.Pool": PyhostPool, "pyhost joblib": Joblib}
