"""What the decorators of functools make of functions of `__main__`: sent by value like those."""

import sys
import types

try:
    # Not functools: its import costs a millisecond.
    from _functools import _lru_cache_wrapper as _Cache
except ImportError:
    _Cache = ()


_COROUTINE = 0x80  # CO_COROUTINE of inspect, which costs milliseconds to import


def is_cache(thing):
    """Whether `functools.lru_cache` or `functools.cache` made it."""
    return isinstance(thing, _Cache)


def reduce_cache(cache):
    """It starts empty on the other side."""
    parameters = cache.cache_parameters()
    return make_cache, (cache.__wrapped__, parameters["maxsize"], parameters["typed"])


def make_cache(function, maxsize, typed):
    import functools
    return functools.lru_cache(maxsize, typed)(function)


def is_partial(thing):
    """Whether it is a `functools.partial` with nothing of its own."""
    return type(thing).__module__ == "functools" and type(thing).__name__ == "partial" and not thing.__dict__


def is_coroutine_function(function):
    function = getattr(function, "func", function)  # of a partial
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return bool(flags & _COROUTINE)


def is_task(thing):
    """Whether `pyhost.task` made it."""
    module = sys.modules.get("pyhost._task")
    return module is not None and type(thing) is module.Task


def reduce_task(task):
    return make_task, (task.__wrapped__, task._given)


def make_task(function, limits):
    from pyhost._task import Task
    return Task(function, limits)


def wrapped(thing):
    """The function that calls of it run, where that tells what it depends on."""
    return thing.__wrapped__ if is_cache(thing) or is_task(thing) else thing


def is_dispatcher(thing):
    """Whether `functools.singledispatch` made it."""
    return (isinstance(thing, types.FunctionType) and thing.__globals__.get("__name__") == "functools"
            and isinstance(getattr(thing, "registry", None), types.MappingProxyType))


def reduce_dispatcher(dispatcher):
    return make_dispatcher, (dict(dispatcher.registry),)


def make_dispatcher(registry):
    import functools
    dispatcher = functools.singledispatch(registry[object])
    for cls, function in registry.items():
        if cls is not object:
            dispatcher.register(cls, function)
    return dispatcher


def is_named_in_main(thing):
    """Whether it may be pickled as a name in `__main__`, though it is neither a function nor a class."""
    return (getattr(thing, "__module__", None) == "__main__"
            and isinstance(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None), str))
