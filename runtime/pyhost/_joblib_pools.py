"""The pools that joblib's calls run on: kept warm from one `Parallel` call to the next."""

import os
import sys
import threading

from pyhost import _joblib_tasks, _settings, errors
from pyhost._core import core
from pyhost._engine import Engine

# Scripts that go back and forth between two numbers of jobs start no pool for it; idle workers cost memory.
_MOST_POOLS = 2

# What numerical libraries go by, with the threads of each worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Called with the number of workers of each pool that is made.
started = None

_lock = threading.Lock()
_pools: "list" = []  # (what it was started with, Engine), the least recently used first


def find(n_workers, inner_threads, cpus, options):
    """A running or new pool.

    inner_threads: of numerical libraries in each worker; None: CPUs / workers, unless the environment says it
    cpus: how many the workers share
    options: as PyhostBackend has them
    """
    outside = tuple(os.environ.get(name) for name in THREAD_VARIABLES)
    key = (n_workers, inner_threads, outside, tuple(sys.path), options)
    with _lock:
        found = next((place for place, (other, _) in enumerate(_pools) if _is_same(other, key)), None)
        engine = _pools.pop(found)[1] if found is not None else None
        if engine is None or engine.closed or engine.failure() is not None:
            engine = _start(n_workers, inner_threads, cpus, **options)
        _pools.append((key, engine))
        del _pools[:-_MOST_POOLS]  # they end when the calls that use them have ended, too
        return engine


def _is_same(one, other):
    try:
        return bool(one == other)
    except Exception:  # arguments of an initializer may be anything
        return False


def close():
    """Ends the pools when what runs on them has ended. The next call starts new ones."""
    with _lock:
        engines = [engine for _, engine in _pools]
        _pools.clear()
    for engine in engines:
        engine.close()


def _start(n_workers, inner_threads, cpus, initializer=None, initargs=(), idle_worker_timeout=None, **options):
    if idle_worker_timeout is not None:
        options["idle_time"] = idle_worker_timeout
    settings = _settings.for_engine(n_workers if idle_worker_timeout is None else (0, n_workers), "zygote",
                                    as_stdlib=True, threads_per_worker=inner_threads,
                                    own_arrays=1,  # results can be written to; arguments: see _joblib_tasks
                                    **options)
    settings.preload = ("pyhost._joblib_worker", "pyhost._joblib_tasks")
    if started is not None:
        started(n_workers)
    return _JoblibEngine(settings, initializer, initargs, _environment(n_workers, inner_threads, cpus))


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
    """An engine for batches, with the large arrays they share, and further variables in its workers' environment."""

    def __init__(self, settings, initializer, initargs, variables):
        super().__init__(settings, initializer, initargs)
        self._variables = variables
        self._publisher = None
        self._batches_lock = threading.Lock()
        self._batches = 0  # under way

    @property
    def closed(self):
        return self._closed

    def start_batch(self, data, buffers, max_nbytes, moment):
        """Submits what `_joblib_tasks.dumps` made; (future, what `end_batch` takes when that is done).

        moment: the same object as long as no large array can have been changed
        """
        used, stale = (), ()
        with self._batches_lock:
            self._batches += 1
        try:
            if any(_joblib_tasks.is_large(buffer, max_nbytes) for buffer in buffers):
                buffers, used = self._find_publisher().share(
                    buffers, lambda buffer: _joblib_tasks.is_large(buffer, max_nbytes), moment)
            if self._publisher is not None:
                stale = self._publisher.stale()
            arguments = (data, buffers, max_nbytes, stale)
            return self.submit(_joblib_tasks.run_batch, arguments, {}, None, core.Submitter()), used
        except BaseException:
            self.end_batch(used)
            raise

    def end_batch(self, used):
        with self._batches_lock:
            self._batches -= 1
        if used:
            self._publisher.done(used)

    def end_call(self):
        """Lets idle workers give back the memory of arrays that were freed; with work left, a later call does it."""
        if self._publisher is None:
            return
        self._publisher.done()
        with self._batches_lock:
            stale = self._publisher.stale()
            if self._batches or not stale or self._closed:
                return
            try:
                self.broadcast(_joblib_tasks.forget_arrays, (stale,), {})
            except errors.HostFailure:  # a worker has died, and with it what it had mapped; the others are asked again
                return
            self._publisher.forgotten(stale)

    def close(self, wait=True, cancel=False, kill=False):
        super().close(wait, cancel, kill)
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()

    def _find_publisher(self):
        from pyhost import _joblib_arrays
        with self._batches_lock:
            if self._publisher is None:
                self._publisher = _joblib_arrays.Publisher()
            return self._publisher

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
