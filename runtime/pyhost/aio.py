"""asyncio: calls and maps that are awaited, on the default pool or on an executor.

    >>> async def main():
    ...     print(await pyhost.aio.run(abs, -3))
    ...     async for result in pyhost.aio.map(abs, [-1, -2]):
    ...         print(result)
    >>> asyncio.run(main())
    3
    1
    2

The event loop never waits for a call. Cancelling what awaits (`task.cancel()`, `asyncio.timeout`, `asyncio.wait_for`) stops
the call: it is taken back when it has not started, else asked to stop by `TaskInterrupted`, and killed with its
worker when it has not after its `grace`.
"""

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, AsyncIterable, AsyncIterator, Callable, Iterable, Optional, TypeVar, Union

import pyhost
from pyhost import _aio_input, _limits, _settings
from pyhost._core import core

if TYPE_CHECKING:
    from pyhost._limited import Limited
    from pyhost.executor import Executor

_T = TypeVar("_T")

# Results looked for at once. Halved: a map of tiny calls spends its time on looking.
_AT_ONCE = 256
# Seconds for which results are handed on before other tasks of the loop get their turn. Doubled: they wait for twice as
# long. Halved: a map of tiny calls spends more of its time on turns of the loop.
_TURN = 0.001

# event loop -> weak reference to its core.Bell, which lives as long as the loop is open and listens to it
_bells: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


def _bell():
    loop = asyncio.get_running_loop()
    known = _bells.get(loop)
    bell = known and known()
    if bell is None or bell.fileno() < 0:  # below 0: in a forked copy of the process
        bell = core.Bell()
        loop.add_reader(bell.fileno(), _wake, bell.take)
        _bells[loop] = weakref.ref(bell)
    return loop, bell


def _wake(take):
    for waiter in take():
        if not waiter.done():
            waiter.set_result(None)


def _checked(executor):
    if isinstance(executor, core.Submitter):
        return executor
    raise TypeError(f"executor is a `{type(executor).__name__}`; expected a pyhost.Executor or what `options` returned "
                    f"(others work with `loop.run_in_executor`)")


async def run(fn: "Callable[..., _T]", /, *args: Any, executor: "Union[Executor, Limited, None]" = None,
              **kwargs: Any) -> _T:
    """Runs `fn(*args, **kwargs)` on a worker; its result, or what it raised.

        >>> async def main():
        ...     first = await pyhost.aio.run(pow, 2, 10)
        ...     return first, await pyhost.aio.run(pow, 2, 11, executor=pyhost.options(timeout=20, retries=3))
        >>> asyncio.run(main())
        (1024, 2048)

    executor: an `Executor`, or what `options` returned; None: the default pool. For a keyword argument `executor` of
        `fn` itself use `functools.partial`.

    A coroutine function runs on the event loop of its worker.
    """
    loop, bell = _bell()
    task = (pyhost.submit if executor is None else _checked(executor).submit)(fn, *args, **kwargs)
    waiter = loop.create_future()
    rings = task._ring(bell, waiter)
    if rings is None:
        return await asyncio.wrap_future(task)
    if rings:
        try:
            await waiter
        except asyncio.CancelledError:
            task.cancel(force=True)
            raise
    try:
        return task.result()
    finally:
        del task  # whose exception has this frame in its traceback


def map(fn: Callable[..., _T], *iterables: Union[Iterable[Any], AsyncIterable[Any]], timeout: Optional[float] = None,
        chunksize: Optional[int] = None, buffersize: Optional[int] = None,
        executor: "Union[Executor, Limited, None]" = None) -> AsyncIterator[_T]:
    """Applies the function to every item on the workers; an asynchronous iterator over the results, in order.

        >>> async def main():
        ...     return [root async for root in pyhost.aio.map(math.sqrt, [9, 16], buffersize=100)]
        >>> asyncio.run(main())
        [3.0, 4.0]

    Inputs are iterables or asynchronous iterables, lazily read and endless if you like. An ordinary one is read in
    the thread of the event loop, which waits for it; one that takes its time should be asynchronous.

    timeout: seconds from now by which each result must be there, else `TimeoutError`
    chunksize: items that travel together; None: about a millisecond's worth, from measured time
    buffersize: how many items are read ahead at most; None: enough to keep the workers busy, and of asynchronous
        inputs 256
    executor: an `Executor`, or what `options` returned; None: the default pool

    An exception of the function, or of the input, is raised when its turn comes and ends the iteration. Leaving the
    loop early takes back what has not started, at the latest when the iterator is closed (`contextlib.aclosing`);
    cancelling it stops what runs, too.
    """
    _limits.require_callable(fn)
    _settings.check_sizes(chunksize, buffersize)
    if not iterables:
        return _nothing()
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    start: Callable[..., Any] = pyhost.map if executor is None else _checked(executor)._map_lazily
    count = 1 if chunksize is None else chunksize

    if any(hasattr(iterable, "__aiter__") for iterable in iterables):
        def start_some(rows):
            # `starmap`, but for the items of a single input, which are its arguments as they are.
            columns = ([row[0] for row in rows],) if len(iterables) == 1 else zip(*rows)
            return start(fn, *columns, chunksize=count)

        reader = _aio_input.Reader(iterables, start_some, buffersize)
        return _results_of_async(reader, deadline)
    return _results(start(fn, *iterables, chunksize=count, buffersize=buffersize), deadline)


async def _nothing():
    for value in ():
        yield value


async def _wait(results, deadline):
    """Until it is worth to look at the map again."""
    loop, bell = _bell()
    waiter = loop.create_future()
    if not results._ring(bell, waiter):
        return
    await _wait_for(waiter, deadline)


async def _wait_for(waiter, deadline):
    if deadline is None:
        await waiter
        return
    loop = asyncio.get_running_loop()
    timer = loop.call_at(deadline, _wake, lambda: [waiter])
    try:
        await waiter
    finally:
        timer.cancel()
    if loop.time() >= deadline:
        raise asyncio.TimeoutError


class _Turn:
    """The time for which results are handed on before other tasks of the loop get theirs."""

    def __init__(self):
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + _TURN

    def is_over(self):
        return self._now() >= self._end

    async def give(self):
        await asyncio.sleep(0)
        self._end = self._now() + _TURN


async def _results(results, deadline):
    turn = _Turn()
    try:
        while True:
            taken = results._take(_AT_ONCE)
            if taken is None:
                return
            for value in taken:
                yield value
                if turn.is_over():
                    await turn.give()
            if not taken:
                await _wait(results, deadline)
    except asyncio.CancelledError:
        results.close(force=True)
        raise
    finally:
        results.close()


async def _results_of_async(reader, deadline):
    turn = _Turn()
    try:
        reader.start()
        while True:
            results = reader.oldest()
            if results is None:
                if reader.ended():
                    return
                await _wait_for(reader.more(), deadline)
                continue
            taken = results._take(_AT_ONCE)
            if taken is None:
                reader.pop_oldest()
                continue
            for value in taken:
                yield value
                reader.yielded()
                if turn.is_over():
                    await turn.give()
            if not taken:
                await _wait(results, deadline)
    except asyncio.CancelledError:
        reader.close(force=True)
        raise
    finally:
        reader.close()
