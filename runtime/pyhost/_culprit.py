"""What in a value cannot be sent: the innermost member that is refused, and the path to it."""

import types

from pyhost._core import core

# Bounds on what a large or deep value costs.
_MOST_ATTEMPTS = 100
_MOST_STEPS = 20


def find(thing, can_send):
    """(path, culprit, the last function of `__main__` on the way or None). `can_send(member)` tries one."""
    attempts = _MOST_ATTEMPTS
    culprit, path, function = thing, "$", None
    for _ in range(_MOST_STEPS):
        if why_it_stays(culprit):
            break
        for step, member in _members(culprit):
            attempts -= 1
            if attempts < 0:
                return path, culprit, function
            if not can_send(member):
                break
        else:
            break
        if isinstance(culprit, types.FunctionType) and culprit.__module__ == "__main__":
            function = culprit
        path, culprit = path + step, member
    return path, culprit, function


def why_it_stays(thing):
    """What to do instead of sending a pool, a future or a generator; None for everything else."""
    if isinstance(thing, core.Task):
        return "a future stays in the process that made it; send its result"
    if isinstance(thing, (core.Submitter, core.Engine)) or type(thing).__module__ == "pyhost.pool":
        return "a pool stays in the process that made it, and would wait for itself in a task; use `pyhost.submit` " \
               "and `pyhost.map` there, or make a pool there"
    if isinstance(thing, types.GeneratorType):
        return "a generator stays in the process that made it; send a list of what it yields"
    return None


def _members(thing):
    """Steps of a path, with what they lead to: what pickle would look at."""
    try:
        yield from _members_of(thing)
    except Exception:  # of a property or a `__getattr__`: there is no way in
        return


def _members_of(thing):
    if isinstance(thing, dict):
        for key, value in list(thing.items()):
            yield f"[{_shown(key)}]", value
    elif isinstance(thing, (list, tuple, set, frozenset)) or type(thing).__name__ == "deque":
        for index, value in enumerate(list(thing)):
            yield f"[{index}]", value
    elif isinstance(thing, types.MethodType):
        yield ".__self__", thing.__self__
        yield ".__func__", thing.__func__
    elif isinstance(thing, types.BuiltinMethodType) and not isinstance(thing.__self__, types.ModuleType):
        yield ".__self__", thing.__self__
    elif isinstance(thing, types.FunctionType):
        yield from _captured(thing)
    elif type(thing).__module__ == "functools" and hasattr(thing, "func"):
        yield ".func", thing.func
        yield ".args", thing.args
        yield ".keywords", thing.keywords
        return
    if isinstance(thing, BaseException):
        yield ".args", thing.args
    if not isinstance(thing, (type, types.FunctionType, types.ModuleType)):
        yield from _state(thing)


def _shown(key):
    try:
        return f"{key!r:.40}"
    except Exception:
        return f"<{type(key).__qualname__}>"


def _state(thing):
    cls = type(thing)
    own = getattr(cls, "__getstate__", None)
    if own is not None and own is not getattr(object, "__getstate__", None):
        state = thing.__getstate__()
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                for name, value in part.items():
                    yield f".{name}", value
            else:
                yield ".__getstate__()", part
        return
    for name, value in list(getattr(thing, "__dict__", {}).items()):
        yield f".{name}", value
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{base.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield f".{name}", getattr(thing, name)
    if cls.__reduce__ not in (object.__reduce__, BaseException.__reduce__):
        yield from _reduced(thing)


def _reduced(thing):
    parts = thing.__reduce__()
    if isinstance(parts, tuple) and len(parts) > 1 and isinstance(parts[1], tuple):
        for index, value in enumerate(parts[1]):
            if value is not thing:
                yield f".__reduce__()[1][{index}]", value


def _captured(function):
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:
            pass
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        for name in function.__code__.co_names:
            if name in function.__globals__ and not isinstance(function.__globals__[name], types.ModuleType):
                yield f".{name}", function.__globals__[name]
