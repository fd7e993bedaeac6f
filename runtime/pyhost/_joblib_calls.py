"""One call of `joblib.Parallel` under way: its batches, and the first failure among them.

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
import weakref

from pyhost import _joblib_tasks, errors
from pyhost._core import core
from pyhost.futures import failed


class Call:
    """The jobs of one call that are under way.

    Threads: any.
    Lifetime: joblib's objects and these refer to each other until a garbage collection finds them. The workers must
    not wait for that: a call refers to them until it is over, and a job until it is done.
    """

    def __init__(self, backend, engine, max_nbytes):
        self._backend = weakref.ref(backend)
        self._engine = engine
        self._max_nbytes = max_nbytes
        self._lock = threading.Lock()
        self._jobs = set()
        self._failure = None
        self._moment = object()

    def renewed(self):
        """The same workers for the next call. This one is over."""
        engine, self._engine = self._engine, None
        return Call(self._backend(), engine, self._max_nbytes)

    def end(self):
        engine, self._engine = self._engine, None
        engine.end_call()

    def submit(self, function, callback):
        engine, used, moment = self._engine, None, self._moment
        try:
            if engine is None:  # another thread has ended the call
                raise concurrent.futures.CancelledError
            future, used = engine.start_batch(*_joblib_tasks.dumps(function), self._max_nbytes, moment)
        except (core.MarshalError, concurrent.futures.CancelledError) as error:
            engine, future = None, failed(error)
        job = Job(self, future, callback, engine, used)
        # joblib takes items for several batches at once; what is left of them it submits before the iterator goes on.
        taken = getattr(job.parallel, "_ready_batches", None)
        if taken is None or taken.empty():
            self._moment = object()
        with self._lock:
            self._jobs.add(job)
            failed_before = self._failure is not None
        future.add_done_callback(job.complete)
        if failed_before:
            future.cancel(force=True)
        return job

    def done(self, job, size):
        """Notes that a job has ended, and how. Whether joblib is to hear of it, and to submit more: of what failed it
        does where it waits for that, of what was cancelled it need not."""
        with self._lock:
            self._jobs.discard(job)
        engine, job.engine = job.engine, None
        if engine is not None:
            engine.end_batch(job.used)
        backend = self._backend()
        if backend is None or job.future.cancelled():
            return False
        error = job.future.exception()
        if error is not None:
            self.fail(error)
            return backend.supports_retrieve_callback
        if size:
            backend.measured(size, job.future.result()[0])
        return True

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

    def failure(self, parallel):
        """What to raise for a job that was cancelled."""
        if self._failure is not None:
            return self._failure
        try:
            parallel._raise_error_fast()  # what `_aborting` below is about
        except Exception as error:
            return error
        return concurrent.futures.CancelledError()


class Job:
    """A batch that was submitted, as joblib knows it."""

    def __init__(self, call, future, callback, engine, used):
        self.future = future
        self.engine = engine  # on which it is under way; None: it is not
        self.used = used  # what the engine wants back
        self.parallel = getattr(callback, "parallel", None)
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
            wanted = self._call.done(self, getattr(self._callback, "batch_size", 0))
            if not wanted or self._callback is None:
                return
            try:
                self._callback(self)
            except BaseException as error:  # of the user's iterator, before 1.3: raised in the thread that waits
                self._error = error
                self._call.fail(error)
            if getattr(self.parallel, "_aborting", False):  # since 1.3 joblib keeps what the iterator raised
                self._call.cancel()

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
            error = self._call.failure(self.parallel)
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
