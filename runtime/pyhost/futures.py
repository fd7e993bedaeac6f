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

_FINAL = frozenset({concurrent.futures._base.CANCELLED_AND_NOTIFIED, concurrent.futures._base.FINISHED})
_ACQUIRING = concurrent.futures._base._AcquireFutures.__enter__.__code__

# Seconds after which futures that another thread keeps locked are tried again. Less, and a settler that has some is
# busy with trying; more, and they are settled later than they could be.
_AGAIN = 0.01

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
        caller = sys._getframe(1)
        if caller.f_code is _ACQUIRING:
            _set_up_all(caller.f_locals["self"].futures, self)
        else:
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
        """Makes what concurrent.futures keeps in a future: all at once and last, so that Ctrl-C before that leaves
        nothing but what can be done once more."""
        if not self.done():
            serve(self._completions)
        attributes = dict(vars(_Base()))
        if not self._watch():
            attributes.update(self._final())
        with _lock:
            if "_condition" not in self.__dict__:
                self.__dict__.update(attributes)

    def _final(self):
        """What of it is different in a future that is done."""
        if self.cancelled():
            return {"_state": concurrent.futures._base.CANCELLED_AND_NOTIFIED}
        error: Optional[BaseException] = self.exception()
        return {"_state": concurrent.futures._base.FINISHED, "_exception": error,
                "_result": self.result() if error is None else None}

    def _settle(self, patience=-1):
        """Passes the outcome on to concurrent.futures, once. Requires: it is there.

        patience: seconds for which another thread may have the future locked, then the answer is False; below 0: as
            long as it likes
        """
        if self._state in _FINAL:
            return True
        attributes = self._final()
        if not self._condition.acquire(True, patience):
            return False
        try:
            if self._state in _FINAL:
                return True
            self.__dict__.update(attributes)
            for waiter in self._waiters:
                self._tell(waiter)
            self._condition.notify_all()
        finally:
            self._condition.release()
        self._invoke_callbacks()
        return True

    def _tell(self, waiter):
        if self.cancelled():
            waiter.add_cancelled(self)
        elif self._exception is not None:
            waiter.add_exception(self)
        else:
            waiter.add_result(self)


class FutureOfStdlib(Future[_T]):
    """One of an adopted executor: there a call that runs goes on when what awaits it is cancelled."""

    _stops_for_asyncio = False
    # Those of the standard library cannot be awaited; there are libraries that ask, by `inspect.isawaitable`.
    __await__ = None  # type: ignore[assignment]


FutureOfStdlib.__name__ = FutureOfStdlib.__qualname__ = Future.__name__  # as scripts see it


def failed(error: BaseException) -> Future:
    """A future of a call that could not be submitted."""
    return core.failed(Future, error)


def _set_up_all(futures, first):
    """Before `wait` or `as_completed` locks `first` of these: else the others were set up one by one while it holds the
    locks of those before, which it would not give back if Ctrl-C came meanwhile. Nor does it what it has by then."""
    try:
        for future in futures:
            if isinstance(future, Future) and "_condition" not in future.__dict__:
                future._set_up()
    except BaseException:
        for future in futures[:futures.index(first)]:
            future._condition.release()
        raise


class _Settler(threading.Thread):
    """The thread that settles the futures of a pool.

    One that another thread keeps locked must not hold up the rest. That may be for good: `wait` does not give back what
    it has locked when Ctrl-C comes before it has all.
    """

    def __init__(self, completions):
        super().__init__(target=self._settle_all, args=(completions,), name="pyhost-settler", daemon=True)
        self._locked = []  # futures to be tried again

    def _settle_all(self, completions):
        tried = 0.0
        while True:
            task = completions.next(_AGAIN if self._locked else None)
            if task is None:
                if not self._locked:
                    return
                time.sleep(_AGAIN)
            elif task is not False and not _settled(task, 0 if self._locked else _AGAIN):
                self._locked.append(task)
            del task  # not kept alive by this thread until the next one
            if self._locked and time.monotonic() - tried > _AGAIN:
                self._locked = [future for future in self._locked if not _settled(future, 0)]
                tried = time.monotonic()

    def await_end(self, seconds=None):
        """Waits for the end of the thread, at most so long. What the calling thread keeps locked it settles itself."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.is_alive() and (end is None or time.monotonic() < end):
            self.join(0.1 if end is None else min(0.1, max(0, end - time.monotonic())))
            for future in list(self._locked):
                if future._condition._is_owned():
                    future._settle()


def _settled(task, patience):
    try:
        return task._settle(patience)
    except BaseException:  # of a future the user has meddled with: the others go on
        concurrent.futures._base.LOGGER.exception("settling %r", task)
        return True


def _serve(completions):
    """Gives it a thread, which ends with its pool. None, where the outcome is known, needs none. Requires: _lock."""
    if completions is None or completions.thread is not None:
        return
    settler = _Settler(completions)
    try:
        if completions.thread is not None:  # a garbage collection came here first
            return
        completions.thread = settler  # before it runs: Ctrl-C finds it here
        settler.start()
    except BaseException:
        if settler.ident is None and completions.thread is settler:  # it does not run: the next future tries again
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
    settler.await_end()


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
            completions.thread.await_end(None if end is None else max(0, end - time.monotonic()))


def _forget():
    global _lock
    _lock = threading.RLock()
    _settlers.clear()


os.register_at_fork(after_in_child=_forget)
