"""`Pool`: the pool with the interface of multiprocessing."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool as stdlib
import sys
import threading
import warnings
import weakref

from pyhost import _limits, _settings
from pyhost._core import core
from pyhost._engine import Engine, await_callbacks
from pyhost.async_result import AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult

# Inputs that are read without running code of the user, or waiting.
_AT_HAND = frozenset({range, str, bytes, bytearray, set, frozenset, dict, type({}.keys()), type({}.values()),
                      type({}.items())})


# The standard library's own class also where `pyhost run` has put a subclass in its place.
TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Mapping, Optional, Tuple, TypeVar, Union
    _Base = stdlib.Pool

    _T = TypeVar("_T")
    _Callback = Optional[Callable[[Any], Any]]
else:
    _Base = stdlib.Pool.__mro__[-2]


class _Calls(core.Submitter):
    """Submits the single calls of a pool."""

    def __init__(self, engine):
        self._engine = engine

    def _submit(self, fn, args, kwargs):
        return self._engine.submit(fn, args, kwargs, None, self, AsyncResult)


class Pool(_Base):
    """Runs calls on a pool of isolated interpreters, one per process; a `multiprocessing.pool.Pool`.

        >>> with pyhost.Pool(2) as pool:
        ...     print(pool.map(abs, [-1, -2]), sorted(pool.imap_unordered(len, ["a", "bb"])))
        [1, 2] [1, 2]

    processes: how many, or `(fewest, most)` for as many as the load wants; None: what `pyhost run --workers` says,
        else the CPUs this process may use
    initializer, initargs: called in each worker before its first call; when it raises, every call fails with
        `StartupError`. Queues, locks, pipes and shared values of multiprocessing may be among the arguments; under
        `fork` so may anything else, since nothing is pickled
    maxtasksperchild: a worker is replaced after so many calls; of a map, a chunk is one call
    context: a multiprocessing context, of which the start method counts; `start` is the direct way. With that of
        `spawn` or `forkserver` workers import the main module, which then needs a guard, as in multiprocessing

    The rest is as for `Executor`. A worker that dies fails the call it ran, with `WorkerCrashed`, where
    multiprocessing would wait for ever; the others go on. Arrays can be written to in tasks, and as results, as in
    multiprocessing; that costs a copy.

    Leaving the `with` block terminates. When the interpreter ends, what still runs is killed.
    """

    _more: Mapping[str, Any] = {}  # settings of the workers that only adopted pools have

    def __init__(self, processes: Union[int, Tuple[int, int], None] = None,
                 initializer: Optional[Callable[..., Any]] = None, initargs: Iterable[Any] = (),
                 maxtasksperchild: Optional[int] = None, context: Any = None, *, start: Optional[str] = None,
                 timeout: Optional[float] = None, cpu: Optional[float] = None, retries: Optional[int] = None,
                 retry_on: Any = None, grace: Optional[float] = None, memory: Union[int, str, None] = None,
                 concurrency: Optional[int] = None, threads_per_worker: Optional[int] = None,
                 max_worker_age: Optional[float] = None, max_worker_memory: Union[int, str, None] = None,
                 idle_time: Optional[float] = None, on_crash: Optional[str] = None):
        self._state: str = stdlib.INIT
        if isinstance(processes, int) and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if start is None and context is not None:
            start = _settings.start_of(context)
        self._ctx = context or multiprocessing.get_context()
        self._initializer, self._initargs, self._maxtasksperchild = initializer, initargs, maxtasksperchild
        settings = _settings.for_engine(
            processes, start, _limits.of_calls(timeout, cpu, retries, retry_on, grace), memory=memory,
            concurrency=concurrency, threads_per_worker=threads_per_worker, max_tasks_per_worker=maxtasksperchild,
            max_worker_age=max_worker_age, max_worker_memory=max_worker_memory, idle_time=idle_time,
            **_settings.of_context(context), **{"on_crash": on_crash, "own_arrays": sys.maxsize, **self._more})
        self._engine: Any = Engine(settings, initializer, tuple(initargs), killed_at_exit=True)
        self._processes = self._engine.start()
        self._native = self._engine.native  # outlives the engine, for `join`
        self._calls: Any = _Calls(self._engine)
        self._workers: List[Any] = []
        self._closed_engine = weakref.ref(self._engine)
        self._state = stdlib.RUN

    # Arguments: `warnings` is gone when the interpreter ends.
    def __del__(self, _warn=warnings.warn, _running=stdlib.RUN):
        if self._state == _running:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    if TYPE_CHECKING:
        def _check_running(self) -> None: ...

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} state={self._state} pool_size={self._processes}>"

    # Attributes of multiprocessing's Pool that programs use though they are private.

    @property
    def _pool(self) -> List[Any]:
        """The workers alive, as process objects; after the end, those there were."""
        engine = self._closed_engine()
        if engine is not None:
            self._workers = list(engine.processes().values()) or self._workers
        return self._workers

    def _repopulate_pool(self) -> None:
        """Nothing: workers that end are replaced without being asked for."""

    def apply(self, func: Callable[..., _T], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {}) -> _T:
        """`func(*args, **kwds)` on a worker; waits for it.

            >>> pool.apply(pow, (2, 10))
            1024
        """
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func: Callable[..., _T], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {},
                    callback: _Callback = None, error_callback: _Callback = None) -> AsyncResult[_T]:
        """Starts `func(*args, **kwds)` on a worker. `callback` gets the result, or `error_callback` the exception.

            >>> pool.apply_async(pow, (2, 10)).get(timeout=30)
            1024

        The content of the arguments is fixed when this returns. What cannot be sent fails the call.
        """
        calls = self._calls  # another thread may close the pool
        self._check_running()
        try:
            result: Any = calls.submit(func, *args, **kwds)
        except TypeError as error:  # not callable, or no arguments
            result = core.failed(AsyncResult, error)
        if callback is not None or error_callback is not None:
            result._pass_on(callback, error_callback, self._native.completions)
        return result

    def map(self, func: Callable[[Any], _T], iterable: Iterable[Any], chunksize: Optional[int] = None) -> List[_T]:
        """The results for all items, in order.

            >>> pool.map(math.sqrt, [9, 16])
            [3.0, 4.0]

        chunksize: items that travel together; None or 1: about a millisecond's worth, from measured time

        When a call fails, the others still run; then the first exception is raised.
        """
        return self._map(func, iterable, False, chunksize)

    def starmap(self, func: Callable[..., _T], iterable: Iterable[Iterable[Any]],
                chunksize: Optional[int] = None) -> List[_T]:
        """As `map`, with items that are the arguments of a call: `func(*item)`.

            >>> pool.starmap(pow, [(2, 5), (3, 2)])
            [32, 9]
        """
        return self._map(func, iterable, True, chunksize)

    def map_async(self, func: Callable[[Any], _T], iterable: Iterable[Any], chunksize: Optional[int] = None,
                  callback: _Callback = None, error_callback: _Callback = None) -> MapResult[_T]:
        """As `map`, without waiting. `callback` gets the list of results, or `error_callback` the first exception.

            >>> pool.map_async(abs, [-1, -2]).get(timeout=30)
            [1, 2]
        """
        return self._map_async(func, iterable, False, chunksize, callback, error_callback)

    def starmap_async(self, func: Callable[..., _T], iterable: Iterable[Iterable[Any]],
                      chunksize: Optional[int] = None, callback: _Callback = None,
                      error_callback: _Callback = None) -> MapResult[_T]:
        """As `starmap`, without waiting; as `map_async`.

            >>> pool.starmap_async(pow, [(2, 5), (3, 2)]).get(timeout=30)
            [32, 9]
        """
        return self._map_async(func, iterable, True, chunksize, callback, error_callback)

    def imap(self, func: Callable[[Any], _T], iterable: Iterable[Any], chunksize: Optional[int] = 1) -> "stdlib.IMapIterator[_T]":
        """The results for all items, in order, as an iterator with `next(timeout)`.

            >>> results = pool.imap(abs, [-1, -2])
            >>> results.next(timeout=30), next(results)
            (1, 2)

        chunksize: as for `map`

        A list and its like are submitted as a whole. Another input is read by a thread, a bounded number of items
        ahead of the results that were taken, and to its end by `join`. An exception stands in the place of a result;
        the next call of `next` returns the next result.
        """
        return self._imap(IMapIterator, func, iterable, chunksize)

    def imap_unordered(self, func: Callable[[Any], _T], iterable: Iterable[Any],
                       chunksize: Optional[int] = 1) -> "stdlib.IMapIterator[_T]":
        """As `imap`, with the results as they come.

            >>> sorted(pool.imap_unordered(abs, [-1, -2]))
            [1, 2]
        """
        return self._imap(IMapUnorderedIterator, func, iterable, chunksize, True)

    def _stream(self, kind, func, iterable, star, chunksize, **how):
        engine = self._engine  # another thread may close the pool
        self._check_running()
        _limits.require_callable(func)
        return engine.stream(kind, func, iterable, star, chunksize, **how)

    def _imap(self, kind, func, iterable, chunksize, unordered=False):
        self._check_running()
        # What is there already is submitted at once. Other inputs may be endless, or wait for what the caller does.
        fed = type(iterable) not in _AT_HAND and not isinstance(iterable, (list, tuple))
        results = self._stream(kind, func, iterable, False, _checked(chunksize), unordered=unordered, fed=fed,
                               per_call=chunksize or 1)
        if fed:
            threading.Thread(target=results._feed, name="pyhost-imap", daemon=True).start()
        return results

    def _chunk(self, items, chunksize):
        """How many items count as one call for `maxtasksperchild`: a chunk, which multiprocessing makes so."""
        if chunksize is None:
            chunksize = -(-len(items) // (4 * self._processes))
        return max(chunksize, 1)

    def _map(self, func, iterable, star, chunksize):
        self._check_running()
        results, in_chunks = self._results(func, _sized(iterable), star, _checked(chunksize), eager=False)
        values: list = []
        try:
            if in_chunks:
                for chunk in results:
                    values.extend(chunk)
            else:
                values.extend(results)
        except Exception:
            results._finish(True)
            results._wait(None)
            raise
        finally:
            results.close()
        return values

    def _map_async(self, func, iterable, star, chunksize, callback, error_callback):
        self._check_running()
        chunksize, items = _checked(chunksize), _sized(iterable)
        try:
            results, in_chunks = self._results(func, items, star, chunksize)
        except (core.MarshalError, TypeError) as error:
            return MapResult(None, self._native.completions, callback, error_callback, error)
        return MapResult(results, self._native.completions, callback, error_callback, in_chunks=in_chunks)

    def _results(self, func, items, star, chunksize, eager=True):
        """(an iterator over the results, whether these are lists of a chunk's results)"""
        size = self._chunk(items, chunksize)
        engine = self._engine  # another thread may close the pool
        if engine is None or not engine.goes_in_chunks(func, (items,), size):
            return self._stream(IMapIterator, func, items, star, chunksize, eager=eager, per_call=size), False
        from pyhost import _chunks
        rows = ((func, star, chunk) for chunk in _chunks.cut(items, size))
        return self._stream(IMapIterator, _chunks.run, rows, True, 1, eager=eager), True

    def close(self) -> None:
        """Accepts no more calls. The workers end when those there are have ended; `join` waits for that.

            >>> mine = pyhost.Pool(1)
            >>> mine.close()
        """
        if self._state == stdlib.RUN:
            self._state = stdlib.CLOSE
            # An `imap` with input left keeps the engine open until it is read, or until `join`.
            self._engine = self._calls = None

    def terminate(self) -> None:
        """Kills what runs; calls without an outcome fail as cancelled.

            >>> mine = pyhost.Pool(1)
            >>> mine.terminate()
        """
        self._state = stdlib.TERMINATE
        self._engine = self._calls = None
        engine = self._closed_engine()
        if engine is not None:
            engine.close(kill=True)
        self._native.kill()

    def join(self) -> None:
        """Waits until the workers have ended and all callbacks have run. ValueError before `close` or `terminate`.

            >>> mine = pyhost.Pool(1)
            >>> mine.close()
            >>> mine.join()
        """
        if self._state == stdlib.RUN:
            raise ValueError("Pool is still running")
        engine = self._closed_engine()
        if engine is not None:
            engine.close()
        self._native.wait_drained()
        await_callbacks(self._native)


if stdlib.Pool is not _Base:
    stdlib.Pool.register(Pool)  # type: ignore[attr-defined]


def _sized(iterable):
    return iterable if hasattr(iterable, "__len__") else list(iterable)


def _checked(chunksize):
    if isinstance(chunksize, int) and chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")  # as multiprocessing has it
    _settings.check_sizes(chunksize, None)
    return chunksize

