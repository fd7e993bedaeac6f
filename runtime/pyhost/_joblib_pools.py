"""The pools that joblib's calls run on: kept warm from one `Parallel` call to the next."""

import os
import sys
import threading
from collections import OrderedDict

from pyhost import _settings
from pyhost._engine import Engine

# Scripts that go back and forth between two numbers of jobs start no pool for it; idle workers cost memory.
_MOST_POOLS = 2

# What numerical libraries go by, with the threads of each worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Called with the number of workers of each pool that is made.
started = None

_lock = threading.Lock()
_pools: "OrderedDict" = OrderedDict()  # what they were started with -> Engine, the least recently used first


def find(n_workers, inner_threads, cpus, options):
    """A running or new pool.

    inner_threads: of numerical libraries in each worker; None: CPUs / workers, unless the environment says it
    cpus: how many the workers share
    options: settings by the names of `_settings.for_engine`
    """
    outside = tuple(os.environ.get(name) for name in THREAD_VARIABLES)
    key = (n_workers, inner_threads, outside, tuple(sys.path), tuple(sorted(options.items())))
    with _lock:
        engine = _pools.pop(key, None)
        if engine is None or engine.closed:
            engine = _start(n_workers, inner_threads, cpus, options)
        _pools[key] = engine
        while len(_pools) > _MOST_POOLS:
            _pools.popitem(last=False)  # ends when the call that uses it has ended, too
        return engine


def close():
    """Ends the pools when what runs on them has ended. The next call starts new ones."""
    with _lock:
        engines = list(_pools.values())
        _pools.clear()
    for engine in engines:
        engine.close()


def _start(n_workers, inner_threads, cpus, options):
    settings = _settings.for_engine(n_workers, "zygote", threads_per_worker=inner_threads,
                                    own_arrays=1,  # results can be written to; arguments: see _joblib_tasks
                                    **options)
    settings.preload = ("pyhost._joblib_worker", "pyhost._joblib_tasks")
    if started is not None:
        started(n_workers)
    return _JoblibEngine(settings, _environment(n_workers, inner_threads, cpus))


def _environment(n_workers, inner_threads, cpus):
    """Variables of the workers. The first is joblib's own count of CPUs: what a task runs in parallel itself shares
    the CPUs with the other workers."""
    found = {"LOKY_MAX_CPU_COUNT": str(max(cpus // n_workers, 1))}
    if "ENABLE_IPC" not in os.environ:
        found["ENABLE_IPC"] = "1"  # Intel's TBB: its pools agree on how many threads run
    if inner_threads is not None:
        found.update(dict.fromkeys(THREAD_VARIABLES, str(inner_threads)))
    return found


class _JoblibEngine(Engine):
    """An engine whose workers have further variables in their environment."""

    def __init__(self, settings, variables):
        super().__init__(settings)
        self._variables = variables

    @property
    def closed(self):
        return self._closed

    def _make_engine(self, function):
        # The zygote copies the environment of this process as it starts.
        before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        try:
            return super()._make_engine(function)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _forget():
    """In a forked process: the pools belong to the one it was forked from."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_forget)
