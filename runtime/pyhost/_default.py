"""The pool behind `pyhost.map` and `pyhost.submit`: made at their first use, kept warm until the process ends."""

from __future__ import annotations

import os
import threading

from pyhost import _settings
from pyhost._core import core
from pyhost._limited import Limited
from pyhost._engine import Engine

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar
    from pyhost.futures import Future

    _T = TypeVar("_T")


_lock = threading.Lock()
_engine = None


def _default_engine():
    global _engine
    if _engine is None:
        with _lock:
            if _engine is None:
                _engine = Engine(_settings.for_engine())
    return _engine


def map(function: Callable[..., _T], *iterables: Iterable[Any], timeout: Optional[float] = None,
        chunksize: Optional[int] = None, buffersize: Optional[int] = None) -> Iterator[_T]:
    """Applies the function to every item on the workers; yields the results lazily, in order.

        >>> sum(pyhost.map(math.sqrt, [9, 16]))
        7.0

    timeout: seconds from now by which each result must be there, else `TimeoutError`
    chunksize: items that travel together; None: about a millisecond's worth, from measured time
    buffersize: how many items are read ahead at most; None: enough to keep the workers busy

    An exception of the function, or of the input, is raised when its turn comes and ends the iteration; so does
    `WorkerCrashed` for an item whose worker died. Inputs may be endless.

    A numpy array over 16 KiB is read-only in the task, and as a result; change a `.copy()` of it.
    """
    return _default_engine().map(function, iterables, timeout, chunksize, buffersize, keep=False)


def starmap(function: Callable[..., _T], rows: Iterable[Iterable[Any]], timeout: Optional[float] = None,
            chunksize: Optional[int] = None, buffersize: Optional[int] = None) -> Iterator[_T]:
    """As `map`, for items that are the arguments of a call each.

        >>> list(pyhost.starmap(pow, [(2, 5), (3, 2)]))
        [32, 9]
    """
    return _default_engine().map(function, (rows,), timeout, chunksize, buffersize, keep=False, star=True)


def as_completed(futures: "Iterable[Future[_T]]", timeout: Optional[float] = None) -> "Iterator[Future[_T]]":
    """Yields futures as they get done, in that order; those given twice once. As `concurrent.futures.as_completed`,
    for futures of any executor.

        >>> futures = {pyhost.submit(len, word): word for word in ["four", "words", "of", "text"]}
        >>> sorted((future.result(), futures[future]) for future in pyhost.as_completed(futures, timeout=30))
        [(2, 'of'), (4, 'four'), (4, 'text'), (5, 'words')]

    timeout: seconds from now, after which it raises `TimeoutError`
    """
    import concurrent.futures
    return concurrent.futures.as_completed(futures, timeout)  # type: ignore[return-value]


class _Default(core.Submitter):
    """What `pyhost.submit` is a method of."""

    def _submit(self, fn, args, kwargs):
        return _default_engine().submit(fn, args, kwargs, None, self)


submit = _Default().submit


def options(**limits: Any) -> "Limited":
    """The default pool with limits for the calls made through what this returns; as `Executor.options`.

        >>> pyhost.options(timeout=20, retries=3, retry_on=OSError).submit(os.path.basename, "a/b").result()
        'b'
    """
    return Limited(_default_engine, {}, eager=False).options(**limits)


def _forget():
    global _lock, _engine
    _lock = threading.Lock()
    _engine = None


os.register_at_fork(after_in_child=_forget)
