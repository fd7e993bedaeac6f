"""What the asynchronous calls of a `Pool` return, and the exceptions that multiprocessing has for it.

Whoever waits for a result waits natively. Callbacks run in the settler thread of the pool, one after the other, in the
order in which the results came; a result with a callback counts as ready when the callback has run, as in
multiprocessing.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool as stdlib
import sys
import threading

from pyhost._core import core

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional, Tuple, TypeVar

    _T = TypeVar("_T")
    _Callback = Optional[Callable[[Any], Any]]
else:
    _T = object  # what is written in the list of bases is needed then, too


_SENDING = "cannot send "  # how the message of a MarshalError starts when a value could not leave


class MaybeEncodingError(stdlib.MaybeEncodingError, core.MarshalError):  # type: ignore[name-defined]
    """The result of a call cannot be sent back; `value` says what in it, `exc` why."""


def as_stdlib(error: BaseException) -> BaseException:
    """The exception that multiprocessing would raise in place of the engine's."""
    cause = error.__cause__
    if cause is None or type(cause).__name__ != "_RemoteTraceback":
        return error
    message = str(error)
    if isinstance(error, core.MarshalError) and message.startswith(_SENDING):
        what = message[len(_SENDING):].partition(": ")[0]
        error = MaybeEncodingError(error, None)
        error.value = what
    error.__cause__ = stdlib.RemoteTraceback(str(cause))  # type: ignore[attr-defined]
    return error


def _is_of_the_task(error):
    """Not the Ctrl-C of whoever waits."""
    return isinstance(error, Exception) or error.__cause__ is not None


def _is_cancelled(error):
    return error.__cause__ is None and type(error).__name__ == "CancelledError"


class _Callbacks:
    """What results with callbacks share. `_passed_on` is None without any."""

    _passed_on: Optional[threading.Event] = None

    if TYPE_CHECKING:
        def ready(self) -> bool: ...
        def _watch_outcome(self) -> bool: ...
        def _outcome(self) -> Tuple[Any, Optional[BaseException]]: ...

    def _pass_on(self, callback: _Callback, error_callback: _Callback, completions: Any) -> None:
        """Has the settler call one of them when the outcome is there."""
        if callback is None and error_callback is None:
            return
        from pyhost import futures
        self._callback, self._error_callback = callback, error_callback
        self._passed_on = threading.Event()
        futures.serve(completions)
        if not self._watch_outcome() and not completions.push(self):
            self._settle()  # the pool has ended meanwhile

    def _settle(self, patience=None):
        """For the settler: calls back, and returns True. There is nothing to wait for."""
        try:
            value, error = self._outcome()
            callback = self._callback if error is None else self._error_callback
            if callback is not None and not (error is not None and _is_cancelled(error)):
                callback(value if error is None else error)
        except BaseException:  # of the callback: those of other results still have to run
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        finally:
            self._callback = self._error_callback = None
            self._passed_on.set()
        return True

    def successful(self) -> bool:
        """Whether the call ended without an exception. ValueError when it has not ended."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._outcome()[1] is None


class AsyncResult(_Callbacks, core.Task, stdlib.ApplyResult[_T]):
    """What `Pool.apply_async` returns.

        >>> result = pool.apply_async(pow, (2, 10))
        >>> result.get(timeout=30)
        1024
    """

    def ready(self) -> bool:
        """Whether the call has ended."""
        return self.done() if self._passed_on is None else self._passed_on.is_set()

    def wait(self, timeout: Optional[float] = None) -> None:
        """Returns when the call has ended, or after `timeout` seconds."""
        if self._passed_on is not None:
            self._passed_on.wait(timeout)
            return
        try:
            self.exception(timeout)
        except Exception:
            pass  # late, or cancelled

    def get(self, timeout: Optional[float] = None) -> _T:
        """The result, or the exception of the call. `multiprocessing.TimeoutError` after `timeout` seconds."""
        if self._passed_on is not None and not self._passed_on.wait(timeout):
            raise multiprocessing.TimeoutError
        try:
            return self.result(timeout)
        except BaseException as error:
            if not self.done() and isinstance(error, Exception):
                raise multiprocessing.TimeoutError from None
            value, failure = self._outcome() if self.done() and _is_of_the_task(error) else (None, error)
        if failure is None:  # it was late, and the call has ended since
            return value
        try:
            raise failure
        finally:
            del failure  # no cycle with its own traceback

    def _watch_outcome(self):
        return self._watch()

    def _outcome(self):
        """(value, exception or None). Requires: done."""
        try:
            return self.result(), None
        except BaseException as error:
            if not _is_of_the_task(error):
                raise
            if "_failed" not in self.__dict__:
                self._failed = as_stdlib(error).with_traceback(None)  # whose frames refer to this object
            return None, self._failed


class MapResult(_Callbacks, stdlib.MapResult[_T]):
    """What `Pool.map_async` and `Pool.starmap_async` return.

        >>> roots = pool.map_async(math.sqrt, [9, 16])
        >>> roots.get(timeout=30)
        [3.0, 4.0]
    """

    def __init__(self, results: Any, completions: Any, callback: _Callback = None, error_callback: _Callback = None,
                 error: Optional[BaseException] = None, in_chunks: bool = False):
        self._results = results  # None once they are read
        self._in_chunks = in_chunks  # they are lists of results
        self._values: list = []
        self._error = error
        self._lock = threading.Lock()
        self._pass_on(callback, error_callback, completions)

    def ready(self) -> bool:
        """Whether all calls have ended."""
        return self._number_left == 0 if self._passed_on is None else self._passed_on.is_set()

    @property
    def _number_left(self):
        results = self._results
        return 0 if results is None else results._open

    def wait(self, timeout: Optional[float] = None) -> None:
        """Returns when all calls have ended, or after `timeout` seconds."""
        results = self._results
        if self._passed_on is not None:
            self._passed_on.wait(timeout)
        elif results is not None:
            results._wait(timeout)

    def get(self, timeout: Optional[float] = None) -> List[_T]:
        """The results in order, or the first exception. `multiprocessing.TimeoutError` after `timeout` seconds."""
        self.wait(timeout)
        if not self.ready():
            raise multiprocessing.TimeoutError
        values, error = self._outcome()
        if error is None:
            return values
        try:
            raise error
        finally:
            del error

    def _watch_outcome(self):
        return self._results is not None and self._results._watch(self)

    def _outcome(self):
        with self._lock:
            if self._results is not None:
                try:
                    for values in self._results if self._in_chunks else (self._results,):
                        self._values.extend(values)
                except BaseException as error:
                    if not _is_of_the_task(error):
                        raise
                    self._error = error.with_traceback(None)  # as above
                self._results.close()
                self._results = None
        return self._values, self._error


class IMapIterator(core.MapIterator, stdlib.IMapIterator):
    """What `Pool.imap` returns. After the exception of a call, or a timeout, the iteration can go on."""

    def next(self, timeout: Optional[float] = None) -> Any:
        """The next result. `multiprocessing.TimeoutError` after `timeout` seconds; StopIteration at the end."""
        try:
            return self._next(timeout)
        except Exception:
            if not self._timed_out:
                raise
        raise multiprocessing.TimeoutError

    def _failure(self, error):
        return as_stdlib(error)


class IMapUnorderedIterator(IMapIterator, stdlib.IMapUnorderedIterator):
    """What `Pool.imap_unordered` returns: results as they come."""
