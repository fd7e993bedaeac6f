"""joblib's backend "pyhost": `Parallel` on our workers, for joblib 1.2 and later.

    Parallel thread                          settler thread                        worker
    submit(batch) --pickle, buffers--> engine ------------------------------------> run
    job.get() <--- result ------------------------------------------------------- <-'
                                       job.complete: how long it took,
                                       joblib's callback, which submits more

Whoever comes first of both threads completes a job, once. The first failure of a call cancels the rest of it, so that
the thread that waits for another batch hears of it at once.
"""

import concurrent.futures
import multiprocessing
import threading
import warnings
import weakref

# While joblib.parallel is being imported it is no attribute of joblib yet.
from joblib import _parallel_backends
from joblib import parallel as joblib_parallel
from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

from pyhost import _joblib_pools, _joblib_tasks, _settings, errors
from pyhost._core import core
from pyhost.futures import failed

# Before 1.3 a KeyboardInterrupt of a task arrives as joblib's WorkerInterrupt.
_SafeFunction = getattr(_parallel_backends, "SafeFunction", None)

# How long a batch should take, in seconds. Half of it and what a batch costs here (0.2 ms) shows; twice as much, and
# workers wait for the last one.
_BATCH_SECONDS = 0.02
# From one batch to the next it grows at most so much: the first items need not be like the others.
_GROWTH = 8
# joblib takes that many items per worker from its iterator, at some 3 us each, before it submits any of them.
_MOST_TASKS = 2000


class PyhostBackend(AutoBatchingMixin, ParallelBackendBase):
    """Runs the batches of `joblib.Parallel` on pyhost's workers.

    inner_max_num_threads: of numerical libraries in each worker; None: CPUs / workers
    options: of the workers, such as `memory="2G"` or `max_tasks_per_worker=100`

    Of what `Parallel` takes, `temp_folder` and `context` have no meaning here: nothing is written to files, and
    workers are forked from an interpreter of their own. Arrays of more than `max_nbytes` are read-only in tasks when
    `mmap_mode` is "r"; with another one, or None, each task has its own copy.
    """

    supports_timeout = True
    supports_return_generator = True
    supports_inner_max_num_threads = True
    supports_retrieve_callback = True
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

    def configure(self, n_jobs=1, parallel=None, max_nbytes=None, mmap_mode="r", **ignored):
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self._workers is not None and self.parallel is not parallel:
            # Busy: the backend of a context manager is shared by all calls in it, also from several threads.
            raise FallbackToBackend(_rebuilt(*self.__reduce__()[1]))
        self.parallel = parallel
        # A list needs no callback to fetch results, and is there sooner: joblib would look for them every 10 ms.
        self.supports_retrieve_callback = bool(getattr(parallel, "return_generator", False))
        engine = _joblib_pools.find(n_jobs, self.inner_max_num_threads, _cpus(), self._options)
        self._workers = _Call(self, engine, max_nbytes if mmap_mode == "r" else None)
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
            self._workers = self._workers.renewed(self)

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


class _Call:
    """The jobs of one call of `Parallel` that are under way, and the first failure among them.

    Threads: any.
    """

    def __init__(self, backend, engine, max_nbytes):
        self._backend = weakref.ref(backend)
        self._engine = engine
        self._max_nbytes = max_nbytes
        self._lock = threading.Lock()
        self._jobs = set()
        self._failure = None
        self._moment = object()

    def renewed(self, backend):
        """The same workers for the next call."""
        return _Call(backend, self._engine, self._max_nbytes)

    def end(self):
        self._engine.end_call()

    def submit(self, func, callback):
        used = None
        moment = self._moment
        try:
            future, used = self._engine.start_batch(*_joblib_tasks.dumps(func), self._max_nbytes, moment)
        except core.MarshalError as error:
            future = failed(error)
        # joblib takes items for several batches at once; what is left of them it submits before the iterator goes on.
        taken = getattr(getattr(callback, "parallel", None), "_ready_batches", None)
        if taken is None or taken.empty():
            self._moment = object()
        job = _Job(self, future, callback, used)
        with self._lock:
            self._jobs.add(job)
            failed_before = self._failure is not None
        future.add_done_callback(job.complete)
        if failed_before:
            future.cancel(force=True)
        return job

    def done(self, job, size):
        """Notes that a job has ended, and how."""
        with self._lock:
            self._jobs.discard(job)
        if job.used is not None:
            self._engine.end_batch(job.used)
        if job.future.cancelled():
            return
        error = job.future.exception()
        backend = self._backend()
        if error is not None:
            self.fail(error)
        elif backend is not None and size:
            backend.measured(size, job.future.result()[0])

    def fail(self, error):
        """Only the first failure counts: it is what the caller hears of."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
        self.cancel()

    def cancel(self):
        """Those that are queued do not start, those that run are stopped."""
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.future.cancel(force=True)

    def failure(self):
        """What to raise for a job that was cancelled."""
        error = self._failure
        return error if error is not None else concurrent.futures.CancelledError()


class _Job:
    """A batch that was submitted, as joblib knows it."""

    def __init__(self, call, future, callback, used):
        self.future = future
        self.used = used  # what the engine wants back; None: it was not started
        self._call = call
        self._callback = callback
        self._lock = threading.Lock()
        self._completed = False
        self._error = None

    def complete(self, future):
        """Tells joblib that the batch has ended, which may submit the next one. Once, whoever comes first."""
        with self._lock:
            if self._completed:
                return
            self._completed = True
            self._call.done(self, getattr(self._callback, "batch_size", 0))
            if self._callback is None:
                return
            try:
                self._callback(self)
            except BaseException as error:  # of the user's iterator, perhaps: raised in the thread that waits
                self._error = error
                self._call.fail(error)

    def get(self, timeout=None):
        """The results of the batch. Raises multiprocessing.TimeoutError when it has none after `timeout` seconds."""
        found = self.results(timeout)
        self.complete(self.future)
        if self._error is not None:
            raise self._error
        return found

    def results(self, timeout):
        """As `get`, without telling joblib first."""
        error = self._wait(timeout)
        if error is not None:
            raise error  # not while another one is handled, which would take the place of its cause
        return self.future.result()[1]

    def _wait(self, timeout):
        """What to raise, or None."""
        try:
            error = self.future.exception(timeout)
        except concurrent.futures.CancelledError:
            error = self._call.failure()
        except concurrent.futures.TimeoutError:
            return multiprocessing.TimeoutError(f"a batch did not end within {timeout} s")
        return _crashed(error) if isinstance(error, errors.WorkerCrashed) else error


def _crashed(error):
    """The same as an exception that loky has for it, too."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    if isinstance(error, TerminatedWorkerError):
        return error
    cls = type("WorkerCrashed", (type(error), TerminatedWorkerError), {"__module__": type(error).__module__})
    error.__class__ = cls
    return error


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
    joblib_parallel.register_parallel_backend("pyhost", PyhostBackend)
    if make_default:
        joblib_parallel.register_parallel_backend("pyhost", DefaultBackend, make_default=True)


class DefaultBackend(PyhostBackend):
    """The backend of scripts that ask for none: without a number of jobs they run in one process, as ever."""

    default_n_jobs = 1
