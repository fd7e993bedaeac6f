"""Futures: a native task, and the machinery of concurrent.futures around it for those who use it.

Waiting with `result` or `exception` is native: the waiting thread takes the reply from the worker itself. What
concurrent.futures adds (a condition, callbacks, waiters) is made when somebody first touches it: `wait`,
`as_completed`, callbacks, asyncio. From then on the settler thread of its pool settles the future: one for each pool,
because callbacks run there, and one may wait for another pool.
"""

from __future__ import annotations

import concurrent.futures
import os
import sys
import threading
import time

from pyhost._core import core

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Generator, List, Optional, TypeVar

    from pyhost._stats import Stats

    _T = TypeVar("_T")
else:
    _T = object  # what is written in the list of bases is needed then, too

_Base = concurrent.futures.Future

# The attributes of concurrent.futures.Future, which its functions use directly.
_LAZY = frozenset({"_condition", "_state", "_result", "_exception", "_waiters", "_done_callbacks"})

_lock = threading.RLock()  # guards who sets up a future, and the settlers; a garbage collection may need it, too
_settlers: "List[Any]" = []  # the core.Completions that have a thread


class Future(core.Task, concurrent.futures.Future[_T]):
    """The outcome of a call that was submitted. A `concurrent.futures.Future` in every respect, and:

    `result(timeout)` and `exception(timeout)` (seconds) raise `TimeoutError` when it is not there in time;
    `cancel(force=True)` also stops a call that runs.

    In a coroutine it can be awaited: `await executor.submit(f, x)`; cancelling what awaits it stops the call.

    Callbacks of a pool's futures run in one thread, one after the other. There `result` of any future may be waited
    for; what only `concurrent.futures` can wait for (`wait`, `as_completed`) not in those of the same pool, as in the
    standard library.

        >>> future = executor.submit(pow, 2, 10)
        >>> future.result(timeout=30)
        1024
    """

    # Whether cancelling what asyncio awaits (`run_in_executor`, `wrap_future`) stops the call when it runs.
    _stops_for_asyncio = True

    if TYPE_CHECKING:
        def result(self, timeout: Optional[float] = None) -> _T: ...

    def running(self) -> bool:
        """Whether a worker has begun with the call, and its outcome is not here yet.

            >>> future = executor.submit(abs, -1)
            >>> future.result(), future.running()
            (1, False)
        """
        return self._started()

    @property
    def stats(self) -> Optional[Stats]:
        """How the call went, see `Stats`; None until it is done.

            >>> future = executor.submit(abs, -1)
            >>> future.result(), round(future.stats.queued + future.stats.seconds)
            (1, 0)
        """
        timing = self._timing()
        if timing is None:
            return None
        from pyhost._stats import Stats
        submitted, claimed, settled, worker, peak, attempts = timing
        if not claimed:
            return Stats(max(settled - submitted, 0) * 1e-9 if settled else 0.0, None, 0.0, None, None, 0)
        return Stats(max(claimed - submitted, 0) * 1e-9, claimed * 1e-9, (settled - claimed) * 1e-9,
                     worker if worker >= 0 else None, peak or None, attempts)

    @property
    def stdout(self) -> Optional[str]:
        """What the call printed to `sys.stdout`, up to its exception if it raised one; with `capture=True` of
        `Executor` or `options`. Then it is not shown elsewhere.

            >>> future = executor.options(capture=True).submit(print, "four")
            >>> future.result(), future.stdout
            (None, 'four\\n')

        None where it was not asked for, until the call is done, and when the call did not end by itself or its result
        could not be sent. What reaches descriptor 1 another way (subprocesses, C code) is shown as ever, and so is
        stderr. Where `concurrency` is above 1, so is what threads print that the call starts.
        """
        return None

    def cancel(self, force: bool = False) -> bool:
        """Revokes the call if it has not started; with `force`, whatever it is doing. Whether it ends cancelled.

        A call that runs is asked to stop by `TaskInterrupted`, raised in it, and killed with its worker when it has
        not after its `grace`. Until then the future is not done. asyncio cancels by force: whoever cancels what
        awaits the future, in `loop.run_in_executor` or `asyncio.wrap_future`, stops the call.

            >>> stuck = executor.submit(time.sleep, 1000)
            >>> stuck.cancel(force=True)
            True
        """
        if not force and "_condition" in self.__dict__:
            force = self._stops_for_asyncio and sys._getframe(1).f_globals.get("__name__") == "asyncio.futures"
        cancelled = self._cancel(force)
        if cancelled and "_condition" in self.__dict__ and self.done():
            self._settle()
        return cancelled

    def __await__(self) -> Generator[Any, None, _T]:
        import asyncio
        return asyncio.wrap_future(self).__await__()

    def __getattr__(self, name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._set_up()
        return self.__dict__[name]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} state={self._describe()}>"

    def _describe(self):
        if self.cancelled():
            return "cancelled"
        if not self.done():
            return "running" if self.running() else "pending"
        try:
            error = self.exception()
        except RuntimeError:  # its result is being rebuilt by this thread
            return "finished"
        return f"finished returned {type(self.result()).__name__}" if error is None else \
            f"finished raised {type(error).__name__}"

    def _set_up(self):
        with _lock:
            if "_done_callbacks" in self.__dict__:  # what __init__ sets last
                return
            _serve(self._completions)
            _Base.__init__(self)
        if not self._watch():
            self._settle()

    def _settle(self):
        """Passes the outcome on to concurrent.futures, once. Requires: it is there."""
        with self._condition:
            if self.__dict__.get("_settled"):
                return
            self._settled = True
        if self.cancelled():
            _Base.cancel(self)
            self.set_running_or_notify_cancel()
            return
        error: Optional[BaseException] = self.exception()
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(self.result())


class FutureOfStdlib(Future[_T]):
    """One of an adopted executor: there a call that runs goes on when what awaits it is cancelled."""

    _stops_for_asyncio = False
    # Those of the standard library cannot be awaited; there are libraries that ask, by `inspect.isawaitable`.
    __await__ = None  # type: ignore[assignment]


FutureOfStdlib.__name__ = FutureOfStdlib.__qualname__ = Future.__name__  # as scripts see it


def failed(error: BaseException) -> Future:
    """A future of a call that could not be submitted."""
    return core.failed(Future, error)


def _settle_all(completions):
    while True:
        task = completions.next()
        if task is None:
            return
        try:
            task._settle()
        except BaseException:  # of a future the user has meddled with: the others go on
            concurrent.futures._base.LOGGER.exception("settling %r", task)
        del task  # not kept alive by this thread until the next one


def _serve(completions):
    """Gives it a thread, which ends with its pool. None, where the outcome is known, needs none. Requires: _lock."""
    if completions is None or completions.thread is not None:
        return
    settler = threading.Thread(target=_settle_all, args=(completions,), name="pyhost-settler", daemon=True)
    if completions.thread is not None:  # a garbage collection came here first
        return
    completions.thread = settler  # before it runs: Ctrl-C finds it here
    try:
        settler.start()
    except BaseException:
        if settler.ident is None:  # it does not run: the next future tries again
            completions.thread = None
        raise
    finally:
        _settlers[:] = [other for other in _settlers if other.thread is not None and other.thread.is_alive()]
        if completions.thread is not None:
            _settlers.append(completions)


def serve(completions):
    """For other objects with a `_settle` that are watched natively."""
    with _lock:
        _serve(completions)


def await_callbacks(completions):
    """Returns when the callbacks of a pool that has ended have run; at once in the thread that runs them."""
    settler = completions.thread
    if settler is None or settler is threading.current_thread():
        return
    while settler.is_alive():
        settler.join(0.1)


def stop_settlers(patience=None):
    """Ends the settlers once they have settled what was pushed.

    patience: seconds to wait for them, since callbacks of the user run there; None: as long as they take
    """
    end = None if patience is None else time.monotonic() + patience
    with _lock:
        ended = list(_settlers)
        _settlers.clear()
    for completions in ended:
        completions.close()
    for completions in ended:
        if completions.thread is not threading.current_thread():
            completions.thread.join(None if end is None else max(0, end - time.monotonic()))


def _forget():
    global _lock
    _lock = threading.RLock()
    _settlers.clear()


os.register_at_fork(after_in_child=_forget)
