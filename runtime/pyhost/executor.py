"""`Executor`: the pool with the interface of concurrent.futures."""

import concurrent.futures
from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

from pyhost import _settings
from pyhost._pool import Pool
from pyhost.futures import Future

_T = TypeVar("_T")

# Which start method gives what a multiprocessing context promises.
_STARTS_OF_CONTEXTS = {"fork": "fork", "forkserver": "zygote", "spawn": "zygote"}


class Executor(concurrent.futures.Executor):
    """Runs calls on a pool of isolated interpreters, one per process.

        with pyhost.Executor(max_workers=4) as executor:
            future = executor.submit(f, x, key=1)
            for y in executor.map(f, xs):
                ...

    max_workers: None: what `pyhost run --workers` says, else the CPUs this process may use
    mp_context: a multiprocessing context, of which the start method counts; `start` is the direct way
    initializer, initargs: called in each worker before its first task; when it raises, every task of that
        worker fails with `StartupError`
    start: `fork` (workers are copies of this process), `zygote` (of a fresh interpreter), `spawn` (each is one),
        or `auto`: `fork` while this process has one thread
    timeout: seconds each task may run before its worker is killed and it fails with `TaskTimeout`

    A worker that dies fails the task it ran, with `WorkerCrashed`; the others go on. Leaving the `with` block
    by Ctrl-C kills what runs.
    """

    def __init__(self, max_workers: Optional[int] = None, mp_context: Any = None,
                 initializer: Optional[Callable[..., Any]] = None, initargs: tuple = (), *,
                 start: Optional[str] = None, timeout: Optional[float] = None):
        if max_workers is not None and max_workers <= 0:
            raise ValueError(f"max_workers is {max_workers}; it must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if start is None and mp_context is not None:
            start = _STARTS_OF_CONTEXTS[mp_context.get_start_method()]
        start = start or _settings.default_start()
        if start not in _settings.STARTS:
            raise ValueError(f"unknown start method `{start}`; expected one of {', '.join(_settings.STARTS)}")
        self._pool = Pool(_settings.default_workers() if max_workers is None else max_workers, start,
                          _settings.default_timeout() if timeout is None else timeout, initializer, initargs)

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future:
        """Starts `fn(*args, **kwargs)` on a worker. The content of the arguments is fixed when this returns; what
        cannot be sent fails the future, as `MarshalError`.

        A numpy array over 16 KiB is read-only in the task, and as a result; change a `.copy()` of it.
        """
        return self._pool.submit(fn, args, kwargs)

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[_T]:
        """Results in order, as `pyhost.map`. Chunks are made automatically; a `chunksize` above 1 is obeyed.

        The results can also be read after `shutdown`, which waits for all of them if the input has a length and no
        `buffersize` is given. Otherwise what was not read by then is cut: a `RuntimeError` stands in its place.

        A numpy array over 16 KiB is read-only in the task, and as a result; change a `.copy()` of it.
        """
        if not iterables:
            return iter(())
        return self._pool.map(fn, iterables, timeout, chunksize, buffersize, keep=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. Finishes those submitted, or with `cancel_futures` those that run."""
        self._pool.close(wait=wait, cancel=cancel_futures)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._pool.close(kill=True)
        else:
            self.shutdown()
