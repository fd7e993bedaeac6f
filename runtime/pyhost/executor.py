"""`Executor`: the pool with the interface of concurrent.futures."""

from __future__ import annotations

import concurrent.futures
import signal

from pyhost import _limits, _settings
from pyhost._core import core
from pyhost._engine import Engine

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, TypeVar, Union
    from pyhost._limited import Limited
    from pyhost._processes import WorkerProcess
    from pyhost._stacks import WorkerStack

    _T = TypeVar("_T")


class Executor(core.Submitter, concurrent.futures.Executor):
    """Runs calls on a pool of isolated interpreters, one per process.

        >>> with pyhost.Executor(max_workers=2) as executor:
        ...     future = executor.submit(pow, 2, exp=10)
        ...     print(list(executor.map(abs, [-1, -2])), future.result())
        [1, 2] 1024

    max_workers: how many, or `(fewest, most)` for as many as the load wants; None: what `pyhost run --workers`
        says, else the CPUs this process may use
    mp_context: a multiprocessing context, of which the start method counts; `start` is the direct way. With that of
        `spawn` or `forkserver` workers import the main module, which then needs a guard, as in multiprocessing
    initializer, initargs: called in each worker before its first call; when it raises, every call fails with
        `StartupError`. Queues, locks, pipes and shared values of multiprocessing may be among the arguments; under
        `fork` so may anything else, since nothing is pickled
    max_tasks_per_child: a worker is replaced after so many calls; as in the standard library, not with an
        `mp_context` of start method `fork`, and without one workers are copies of a fresh interpreter
    start: `fork` (workers are copies of this process), `zygote` (of a fresh interpreter), `spawn` (each is one),
        or `auto`: `fork` while this process has one thread

    Limits of each call, which `options` overrides:

    timeout: seconds from its start, after which it fails with `TaskTimeout`
    cpu: seconds of CPU time of its worker, after which it fails with `TaskCpuError`
    retries: how often it may run again after a crash, a limit or an exception; without it nothing runs twice
    retry_on: for what alone it runs again: exception classes, or `"crashed"`, `"timeout"`, `"memory"`, `"cpu"`,
        `"exception"`
    grace: seconds from the exception that asks it to stop (`TaskInterrupted`) to SIGKILL; 1 when None

    And of each worker:

    memory: bytes it may hold, or text such as `"512M"`, beyond which its call fails with `TaskMemoryError`
    concurrency: calls it runs at a time: coroutines for `async def` functions, else threads
    threads_per_worker: of BLAS and OpenMP libraries; None: CPUs / workers
    max_worker_age, max_worker_memory: seconds, or bytes between two calls, after which it is replaced
    idle_time: seconds after which an idle one above the fewest ends; 60 when None

    A worker that dies fails the call it ran, with `WorkerCrashed`; the others go on. With `on_crash="pool"` it
    breaks the pool, as in the standard library: all calls without an outcome fail with a `BrokenProcessPool`, and
    `submit` raises one from then on; so does an initializer that raises.

    With `capture=True` what submitted calls print is not shown; it is the `stdout` of their futures. `map` and
    `starmap`, whose results have none, are refused then: use those of `options(capture=False)`.

    Leaving the `with` block by Ctrl-C kills what runs. What is None is as `pyhost run` was told, else not limited.
    """

    _more: Mapping[str, Any] = {}  # settings of the workers that only adopted executors have

    def __init__(self, max_workers: Union[int, Tuple[int, int], None] = None, mp_context: Any = None,
                 initializer: Optional[Callable[..., Any]] = None, initargs: tuple = (), *,
                 max_tasks_per_child: Optional[int] = None, start: Optional[str] = None,
                 timeout: Optional[float] = None, cpu: Optional[float] = None, retries: Optional[int] = None,
                 retry_on: Any = None, grace: Optional[float] = None, memory: Union[int, str, None] = None,
                 concurrency: Optional[int] = None, threads_per_worker: Optional[int] = None,
                 max_worker_age: Optional[float] = None, max_worker_memory: Union[int, str, None] = None,
                 idle_time: Optional[float] = None, on_crash: Optional[str] = None,
                 capture: bool = False):
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        method = None if mp_context is None else _settings.method_of(mp_context)
        if max_tasks_per_child is not None and method == "fork":
            raise ValueError("max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
                             "supply a different mp_context")
        if max_tasks_per_child is not None and mp_context is None and start is None and not _settings.start_told():
            method = "spawn"
        if start is None and method is not None:
            start = _settings.start_of_method(method)
        if on_crash == "pool" and initializer is not None:
            from pyhost import _remote
            initializer = _remote.LoggedInitializer(initializer)
        if method in ("spawn", "forkserver"):
            max_workers = _settings.as_needed(max_workers)
        settings = _settings.for_engine(
            max_workers, start, _limits.of_calls(timeout, cpu, retries, retry_on, grace), memory=memory,
            concurrency=concurrency, threads_per_worker=threads_per_worker,
            max_tasks_per_worker=_limits.count("max_tasks_per_child", max_tasks_per_child, 1),
            max_worker_age=max_worker_age, max_worker_memory=max_worker_memory, idle_time=idle_time,
            on_crash=on_crash, **_settings.of_context(mp_context), **self._more)
        self._context = mp_context
        self._method = method
        self._capture = bool(capture)
        self._engine = Engine(settings, initializer, tuple(initargs))
        self._engine.refuses_failed_start = settings.as_stdlib

    def _submit(self, fn, args, kwargs):
        if self._capture:
            return self._engine.submit_captured(fn, args, kwargs, None)
        return self._engine.submit(fn, args, kwargs, None, self)

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[_T]:
        """Results in order, as `pyhost.map`. Chunks are made automatically; a `chunksize` above 1 is obeyed.

            >>> list(executor.map(pow, [2, 3], [5, 2], timeout=30))
            [32, 9]

        timeout: seconds from now by which each result must be there, else `TimeoutError`
        buffersize: how many items are read ahead of the results at most; then the input may be endless

        Without `buffersize` the whole input is read now, and run whether the results are read or not; they can also
        be read after `shutdown`, which waits for all. (Of what is more than 256 MiB when it is encoded, the rest is
        encoded as results are read, or at `shutdown`.) With `buffersize`, `shutdown` cuts what was not read by then:
        a `RuntimeError` stands in its place.

        A numpy array over 16 KiB is read-only in the task, and as a result; change a `.copy()` of it.
        """
        _limits.refuse_capture(self._capture, "map")
        return self._engine.map(fn, iterables, timeout, chunksize, buffersize, keep=True)

    def starmap(self, fn: Callable[..., _T], rows: Iterable[Iterable[Any]], timeout: Optional[float] = None,
                chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[_T]:
        """As `map`, for items that are the arguments of a call each.

            >>> list(executor.starmap(pow, [(2, 5), (3, 2)], timeout=30))
            [32, 9]
        """
        _limits.refuse_capture(self._capture, "starmap")
        return self._engine.map(fn, (rows,), timeout, chunksize, buffersize, keep=True, star=True)

    def options(self, *, timeout: Optional[float] = None, cpu: Optional[float] = None, retries: Optional[int] = None,
                retry_on: Any = None, grace: Optional[float] = None, memory: Union[int, str, None] = None,
                capture: Optional[bool] = None) -> Limited:
        """This executor with limits, as those of `Executor`, for the calls made through what is returned. They
        cannot collide with keyword arguments of the functions.

            >>> executor.options(timeout=20, retries=3, retry_on=OSError).submit(len, "four").result()
            4

        With `capture=True` what submitted calls print becomes `stdout` of their futures.

        `memory` is a limit of workers: calls with one of their own get workers of their own, as many as this
        executor has.
        """
        from pyhost._limited import Limited
        engine = self._engine
        same = Limited(lambda: engine, {}, capture=self._capture)
        return same.options(timeout=timeout, cpu=cpu, retries=retries, retry_on=retry_on, grace=grace, memory=memory,
                            capture=capture)

    def _map_lazily(self, fn, *iterables, chunksize=1, buffersize=None):
        """As `pyhost.map`."""
        _limits.refuse_capture(self._capture, "map")
        return self._engine.map(fn, iterables, None, chunksize, buffersize, keep=False)

    def broadcast(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> List[_T]:
        """Calls `fn(*args, **kwargs)` once in every worker there is, before what is queued; waits for all of them.

            >>> len(executor.broadcast(os.getpid)) == len(executor._processes)
            True

        The results, one per worker, in no order. When it raises somewhere, the first exception, after all ended. A
        worker made later does not run it: for that there is `initializer`.
        """
        return self._engine.broadcast(fn, args, kwargs)

    def stacks(self, timeout: float = 1.0) -> List[WorkerStack]:
        """Where every worker is: its call, for how many seconds, and its Python stacks.

            >>> for where in executor.stacks():     # doctest: +SKIP
            ...     print(where.worker, where.call, where.seconds)
            0 load 12.3

        timeout: seconds to wait for their answers; a worker that gave none has an empty stack
        """
        return [where for engine in self._engine.family() for where in engine.stacks(timeout)]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. Finishes those submitted, or with `cancel_futures` those that run; a worker that is
        idle or still starting finishes one.

            >>> mine = pyhost.Executor(1)
            >>> last = mine.submit(abs, -1)
            >>> mine.shutdown()
            >>> last.result()
            1
        """
        self._engine.close(wait=wait, cancel=cancel_futures)

    def terminate_workers(self) -> None:
        """Shuts down at once: cancels what has not started, and sends SIGTERM to the workers. What runs fails with
        `WorkerCrashed`, unless its worker survives the signal. Does not wait.

            >>> mine = pyhost.Executor(1)
            >>> stuck = mine.submit(time.sleep, 1000)
            >>> mine.terminate_workers()
        """
        self._engine.end_workers(signal.SIGTERM)

    def kill_workers(self) -> None:
        """As `terminate_workers`, with SIGKILL.

            >>> mine = pyhost.Executor(1)
            >>> mine.kill_workers()
        """
        self._engine.end_workers(signal.SIGKILL)

    # Attributes of ProcessPoolExecutor that programs use though they are private.

    @property
    def _processes(self) -> "Dict[int, WorkerProcess]":
        """The workers alive, by pid; waits for those that are being started."""
        return {pid: process for engine in self._engine.family() for pid, process in engine.processes().items()}

    @property
    def _broken(self) -> Union[bool, str]:
        failure = self._engine.failure()
        return False if failure is None else str(failure)

    @property
    def _max_workers(self) -> int:
        return self._engine.max_workers

    @property
    def _mp_context(self) -> Any:
        if self._context is None:
            import multiprocessing
            self._context = multiprocessing.get_context(self._method)
        return self._context

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._engine.close(kill=True)
        else:
            self.shutdown()
