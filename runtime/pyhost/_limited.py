"""A pool with limits for the calls made through it."""

from __future__ import annotations

from pyhost import _limits
from pyhost._core import core

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

    _T = TypeVar("_T")


class Limited(core.Submitter):
    """What `Executor.options` and `pyhost.options` return: `submit` and `map` whose calls have those limits.

        >>> patient = executor.options(timeout=20, retries=3, retry_on=OSError)
        >>> patient.submit(math.factorial, 5).result()
        120

    Cheap to make, and good for any number of calls. Valid as long as its pool.
    """

    def __init__(self, engine: Callable[[], Any], limits: dict, memory: Optional[int] = None, eager: bool = True,
                 capture: bool = False):
        self._engine = engine
        self._eager = eager  # of its maps
        self._given = limits
        self._memory = memory
        self._capture = capture
        self._limits = _limits.native(limits)

    def options(self, *, timeout: Optional[float] = None, cpu: Optional[float] = None, retries: Optional[int] = None,
                retry_on: Any = None, grace: Optional[float] = None, memory: Any = None,
                capture: Optional[bool] = None) -> "Limited":
        """The same with further limits; what is not given stays as it is.

            >>> careful = executor.options(timeout=20).options(memory="1G")
        """
        limits = _limits.of_calls(timeout, cpu, retries, retry_on, grace)
        size = _limits.size("memory", memory)
        return Limited(self._engine, {**self._given, **limits}, self._memory if size is None else size,
                       self._eager, self._capture if capture is None else bool(capture))

    def _submit(self, fn, args, kwargs):
        if self._capture:
            return self._find().submit_captured(fn, args, kwargs, self._limits)
        return self._find().submit(fn, args, kwargs, self._limits, self)

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: Optional[int] = None, buffersize: Optional[int] = None) -> Iterator[_T]:
        """As `Executor.map`, with these limits for each item; `timeout` is here, too, about the results.

            >>> list(executor.options(retries=2).map(abs, [-1, 2], timeout=30))
            [1, 2]
        """
        _limits.refuse_capture(self._capture, "map")
        return self._find().map(fn, iterables, timeout, chunksize, buffersize, self._eager, self._limits)

    def _map_lazily(self, fn, *iterables, chunksize=1, buffersize=None):
        """As `pyhost.map`, with these limits."""
        _limits.refuse_capture(self._capture, "map")
        return self._find().map(fn, iterables, None, chunksize, buffersize, False, self._limits)

    def starmap(self, fn: Callable[..., _T], rows: Iterable[Iterable[Any]], timeout: Optional[float] = None,
                chunksize: Optional[int] = None, buffersize: Optional[int] = None) -> Iterator[_T]:
        """As `pyhost.starmap`, with these limits for each item.

            >>> list(executor.options(retries=2).starmap(pow, [(2, 5), (3, 2)]))
            [32, 9]
        """
        _limits.refuse_capture(self._capture, "starmap")
        return self._find().map(fn, (rows,), timeout, chunksize, buffersize, self._eager, self._limits, star=True)

    def _find(self):
        engine = self._engine()
        return engine if self._memory is None else engine.sibling(self._memory)
