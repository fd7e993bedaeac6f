"""`@pyhost.task`: functions that know how to run on the default pool."""

import functools
from typing import TYPE_CHECKING, Any, Callable, Generic, Iterable, Iterator, Optional, TypeVar, overload

from pyhost import _default, _limits

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from pyhost.futures import Future

    _P = ParamSpec("_P")
else:
    _P = TypeVar("_P")
_T = TypeVar("_T")


class Task(Generic[_P, _T]):
    """What `@pyhost.task` makes of a function.

    Called, it is that function, here and now. `submit` and `map` run it on the workers of the default pool. It keeps
    the name, signature and documentation of the function, which is its `__wrapped__`.
    """

    def __init__(self, function: "Callable[_P, _T]", limits: Optional[dict] = None):
        functools.update_wrapper(self, function)
        self._given = limits or {}
        self._pool: Any = _default.options(**self._given) if self._given else _default

    if TYPE_CHECKING:
        __qualname__: str
        __wrapped__: Callable[_P, _T]

        def __call__(self, *args: "_P.args", **kwargs: "_P.kwargs") -> _T: ...

        @overload
        def __get__(self, instance: None, owner: Any = None) -> "Task[_P, _T]": ...
        @overload
        def __get__(self, instance: object, owner: Any = None) -> "BoundTask[_T]": ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...
    else:
        def __call__(self, *args, **kwargs):
            return self.__wrapped__(*args, **kwargs)

        def __get__(self, instance, owner=None):
            return self if instance is None else BoundTask(self, instance)

    def submit(self, *args: "_P.args", **kwargs: "_P.kwargs") -> "Future[_T]":
        """Starts the function on a worker; its future. As `pyhost.submit`."""
        return self._pool.submit(self, *args, **kwargs)

    def map(self, *iterables: Iterable[Any], timeout: Optional[float] = None, chunksize: Optional[int] = None,
            buffersize: Optional[int] = None) -> Iterator[_T]:
        """Applies the function to every item on the workers; results in order, lazily. As `pyhost.map`."""
        return self._pool.map(self, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize)

    def starmap(self, rows: Iterable[Iterable[Any]], timeout: Optional[float] = None, chunksize: Optional[int] = None,
                buffersize: Optional[int] = None) -> Iterator[_T]:
        """As `map`, for items that are the arguments of a call each. As `pyhost.starmap`."""
        return self._pool.starmap(self, rows, timeout=timeout, chunksize=chunksize, buffersize=buffersize)

    def options(self, **limits: Any) -> "Task[_P, _T]":
        """The same function with limits for its calls on workers, those of `Executor.options`.

            >>> @pyhost.task
            ... def shout(text):
            ...     return text.upper()
            >>> shout.options(timeout=20, retries=3).submit("abc").result()
            'ABC'
        """
        return _Variant(self, {**self._given, **limits})

    def __reduce__(self):
        # By name, as a function, where there is one; `pyhost._pickling` sends it by value otherwise.
        if "<" not in self.__qualname__:
            return self.__qualname__
        return Task, (self.__wrapped__, self._given)

    def __repr__(self) -> str:
        return f"<pyhost.task {self.__module__}.{self.__qualname__}>"


class _Variant(Task):
    """A task with other limits. On workers, where limits say nothing, it is the task it was made of."""

    def __init__(self, original, limits):
        super().__init__(original.__wrapped__, limits)
        self._original = original

    def submit(self, *args, **kwargs):
        return self._pool.submit(self._original, *args, **kwargs)

    def map(self, *iterables, **settings):
        return self._pool.map(self._original, *iterables, **settings)

    def starmap(self, rows, **settings):
        return self._pool.starmap(self._original, rows, **settings)

    def options(self, **limits):
        return _Variant(self._original, {**self._given, **limits})

    def __reduce__(self):
        return _Variant, (self._original, self._given)


class BoundTask(Generic[_T]):
    """A task that is a method, of one object: what `instance.method` gives. The object travels with each call."""

    def __init__(self, task, instance):
        self._task = task
        self.__self__ = instance
        self.__func__ = task
        self.__doc__ = task.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> _T:
        return self._task.__wrapped__(self.__self__, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> "Future[_T]":
        """As `Task.submit`."""
        return self._task.submit(self.__self__, *args, **kwargs)

    def map(self, *iterables: Iterable[Any], **settings: Any) -> Iterator[_T]:
        """As `Task.map`."""
        return self.starmap(zip(*iterables), **settings)

    def starmap(self, rows: Iterable[Iterable[Any]], **settings: Any) -> Iterator[_T]:
        """As `Task.starmap`."""
        return self._task.starmap(((self.__self__, *row) for row in rows), **settings)

    def options(self, **limits: Any) -> "BoundTask[_T]":
        """As `Task.options`."""
        return BoundTask(self._task.options(**limits), self.__self__)

    def __reduce__(self):
        return BoundTask, (self._task, self.__self__)


if TYPE_CHECKING:
    @overload
    def task(function: "Callable[_P, _T]", /) -> "Task[_P, _T]": ...
    @overload
    def task(*, timeout: Optional[float] = None, cpu: Optional[float] = None, retries: Optional[int] = None,
             retry_on: Any = None, grace: Optional[float] = None,
             memory: Any = None, capture: Optional[bool] = None) -> "Callable[[Callable[_P, _T]], Task[_P, _T]]": ...


def task(function: Any = None, /, **limits: Any) -> Any:
    """Makes a function one that can also run on the default pool.

        >>> @pyhost.task
        ... def score(record):
        ...     return len(record)
        >>> score("four")                           # runs here, as before
        4
        >>> score.submit("four").result()           # on a worker
        4
        >>> list(score.map(["one", "two"]))         # on all of them
        [3, 3]
        >>> score.options(timeout=20).submit("four").result()
        4
        >>> @pyhost.task(timeout=20, retries=3)     # limits of every call on workers, those of `Executor.options`
        ... def fetch(url):
        ...     return f"the page at {url}"
    """
    if function is None:
        return functools.partial(_decorate, limits)
    return _decorate(limits, function)


def _decorate(limits, function):
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"`@pyhost.task` stands above `@{type(function).__name__}`; put it below")
    _limits.require_callable(function)
    return Task(function, limits)
