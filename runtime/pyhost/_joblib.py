"""joblib's backend "pyhost": `Parallel` on our workers, for joblib 1.2 and later."""

import multiprocessing
import warnings

# While joblib.parallel is being imported it is no attribute of joblib yet.
from joblib import _parallel_backends
from joblib import parallel as joblib_parallel
from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

from pyhost import _joblib_calls, _joblib_pools, _settings
from pyhost._core import core

# Before 1.3 a KeyboardInterrupt of a task arrives as joblib's WorkerInterrupt.
_SafeFunction = getattr(_parallel_backends, "SafeFunction", None)

# How long a batch should take, in seconds. Half of it and what a batch costs here (0.2 ms) shows; twice as much, and
# workers wait for the last one.
_BATCH_SECONDS = 0.02
# From one batch to the next it grows at most so much: the first items need not be like the others.
_GROWTH = 8
# joblib takes that many items per worker from its iterator, at some 3 us each, before it submits any of them.
_MOST_TASKS = 2000
# What joblib gives every backend, and has no meaning here.
_OF_OTHERS = ("context", "prefer", "require", "temp_folder", "verbose")


class PyhostBackend(AutoBatchingMixin, ParallelBackendBase):
    """Runs the batches of `joblib.Parallel` on pyhost's workers.

    inner_max_num_threads: of numerical libraries in each worker; None: CPUs / workers
    options, also of `Parallel` itself since joblib 1.5:
        initializer, initargs: called in each worker before its first task; other workers for other ones
        idle_worker_timeout: seconds after which an idle worker ends; None: never
        others, of the workers, such as `memory="2G"` or `max_tasks_per_worker=100`

    Of what `Parallel` takes, `temp_folder` and `context` have no meaning here: nothing is written to files, and
    workers are forked from an interpreter of their own. Arrays of more than `max_nbytes` are read-only in tasks when
    `mmap_mode` is "r"; with another one, or None, each task has its own copy.
    """

    supports_timeout = True
    supports_return_generator = True
    supports_inner_max_num_threads = True
    # Whether joblib fetches results in the callback. A list needs that not, and is there sooner: joblib would look for
    # results every 10 ms. For a generator, which outlives the call, it does: see `configure`.
    supports_retrieve_callback = False
    default_n_jobs = -1

    def __init__(self, nesting_level=None, inner_max_num_threads=None, **options):
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = options
        self._workers = None  # as the call under way sees them; loky's name

    def effective_n_jobs(self, n_jobs):
        """How many workers that number of jobs means; see joblib. Inside a worker the other CPUs are taken."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if joblib_parallel.mp is None or n_jobs is None:
            return 1
        if core.current_worker() < 0 and multiprocessing.current_process().daemon:
            if n_jobs != 1:
                warnings.warn("pyhost-backed parallel loops cannot be called in a multiprocessing worker, setting "
                              "n_jobs=1", stacklevel=3)
            return 1
        return n_jobs if n_jobs > 0 else max(_cpus() + 1 + n_jobs, 1)

    def configure(self, n_jobs=1, parallel=None, max_nbytes=None, mmap_mode="r", **options):
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        is_busy = self._workers is not None and self.parallel is not parallel  # with another call in its context
        is_generator = getattr(parallel, "return_generator", False)
        if is_busy or is_generator and not self.supports_retrieve_callback:
            other = _rebuilt(*self.__reduce__()[1])
            other.supports_retrieve_callback = is_generator
            raise FallbackToBackend(other)
        self.parallel = parallel
        options = {**self._options, **{name: options[name] for name in options if name not in _OF_OTHERS}}
        engine = _joblib_pools.find(n_jobs, self.inner_max_num_threads, _cpus(), options)
        self._workers = _joblib_calls.Call(self, engine, max_nbytes if mmap_mode == "r" else None)
        return n_jobs

    def submit(self, func, callback=None):
        """Starts a batch; a job with `get`. What cannot be sent fails that job."""
        return self._workers.submit(_SafeFunction(func) if _SafeFunction else func, callback)

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out):
        return out.results(None)

    def retrieve_result(self, out, timeout=None):
        return out.get(timeout)

    def compute_batch_size(self):
        return self._effective_batch_size

    def batch_completed(self, batch_size, duration):
        """Nothing: this duration includes the time in the queue. `measured` has the worker's."""

    def measured(self, batch_size, seconds):
        """Adapts the size of batches to how long one took to run."""
        each = max(seconds / batch_size, 1e-7)
        before = self._smoothed_batch_duration  # of one task
        self._smoothed_batch_duration = each = 0.8 * before + 0.2 * each if before else each
        wanted = min(int(_BATCH_SECONDS / each), _GROWTH * self._effective_batch_size, _MOST_TASKS)
        self._effective_batch_size = max(1, wanted)

    def abort_everything(self, ensure_ready=True):
        """Revokes what is queued and stops what runs. The workers stay, but those that do not stop."""
        if self._workers is not None:
            self._workers.cancel()
            self._workers = self._workers.renewed()

    def terminate(self):
        """The end of a call, or of several. The workers are kept for the next one."""
        if self._workers is not None:
            self._workers.end()
            self._workers = None
        self.reset_batch_stats()

    def __reduce__(self):
        return _rebuilt, (type(self), self.nesting_level, self.inner_max_num_threads, self._options)


def _rebuilt(cls, nesting_level, inner_max_num_threads, options):
    return cls(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **options)


def _cpus():
    """What `pyhost run --workers` says, else the CPUs joblib counts; in a worker those it may use itself."""
    return _settings.for_engine().workers["workers"] or joblib_parallel.cpu_count()


def register_joblib(make_default: bool = False) -> None:
    """Registers joblib's backend "pyhost". `joblib.Parallel` runs on pyhost's workers where it is asked for:

        >>> import joblib
        >>> pyhost.register_joblib()
        >>> with joblib.parallel_backend("pyhost", n_jobs=2):
        ...     joblib.Parallel()(joblib.delayed(math.sqrt)(i) for i in (1, 4, 9))
        [1.0, 2.0, 3.0]
        >>> joblib.Parallel(n_jobs=2, backend="pyhost")(joblib.delayed(abs)(i) for i in (-1, -2))
        [1, 2]

    make_default: also where no backend is asked for, and `prefer` is not "threads"

    Workers are kept from one call to the next. Arguments of more than `max_nbytes` (1 MB) are read-only in tasks.
    Raises ImportError where joblib is missing.
    """
    joblib_parallel.register_parallel_backend("pyhost", DefaultBackend if make_default else PyhostBackend, make_default)


class DefaultBackend(PyhostBackend):
    """The backend of calls that ask for none: without a number of jobs they run in one process, as ever."""

    default_n_jobs = 1


class LokyBackend(DefaultBackend):
    """That of adopted scripts, by the name that joblib shows. Like loky's, it passes over options it does not know."""

    def configure(self, n_jobs=1, parallel=None, max_nbytes=None, mmap_mode="r", initializer=None, initargs=(),
                  idle_worker_timeout=None, **ignored):
        return super().configure(n_jobs, parallel, max_nbytes, mmap_mode, initializer=initializer, initargs=initargs,
                                 idle_worker_timeout=idle_worker_timeout)
