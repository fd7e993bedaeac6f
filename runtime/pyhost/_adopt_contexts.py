"""What a multiprocessing context, or a subclass, asks of an adopted pool; and whether it can be given."""

import sys

from pyhost import _adopt, _settings

# How long `active_children` waits for workers that are starting, in seconds: under multiprocessing they are there at
# once. It takes milliseconds, unless they cannot start.
_PATIENCE = 1.0

# What multiprocessing calls its workers, by start method.
_NAMES = {"fork": "Fork", "spawn": "Spawn", "forkserver": "ForkServer"}


def start_of(context):
    """The start method here for that of a context.

    The platform's own default was not asked for by the script, so `pyhost run --start` decides.
    """
    from multiprocessing import context as contexts
    method = context.get_start_method()
    default = contexts._default_context._default_context.get_start_method()
    if method == default and _settings.start_told() is not None:
        return _settings.start_told()
    return _settings.start_of(context)


def settings_of(context, name, daemon=None):
    """What workers of an adopted pool have in common with those of the standard library, as `_settings.for_engine`
    has it. `name`: of a worker there, behind the start method."""
    return {"own_arrays": sys.maxsize, "process_name": _NAMES[context.get_start_method()] + name, "daemon": daemon,
            "as_stdlib": True}


def list_workers():
    """Has `multiprocessing.active_children()` list workers of adopted pools."""
    from multiprocessing import process
    if not isinstance(process._children, _Children):  # the first pool, or the first since this process was forked
        process._children = _Children(process._children)


class _Children(set):
    """The child processes of multiprocessing, and behind them the workers."""

    def __iter__(self):
        yield from super().__iter__()
        from pyhost import _lifecycle
        for engine in _lifecycle.pools():
            if engine.has_named_workers:
                yield from engine.processes(_PATIENCE).values()


def route(cls, adopted, stdlib, context, shown):
    """The start method of pyhost for an instance of `cls` that is made; None, which `--verbose` hears of, where it
    needs the standard library's pool.

    cls: has `adopted` before `stdlib` among its bases
    shown: how it is made
    """
    reason = _obstacle(cls, adopted, stdlib, context)
    if reason is None:
        return start_of(context)
    _adopt.left_alone(shown, reason)
    return None


def _obstacle(cls, adopted, stdlib, context):
    """Why it needs that pool; or None. Who overrides what is internal there has it run there."""
    for base in cls.__mro__[:cls.__mro__.index(adopted)]:
        for name in vars(base):
            inner = name == "Process" or (name.startswith("_") and not name.startswith("__"))
            if inner and name in vars(stdlib):
                return f"`{cls.__qualname__}` overrides `{name}`"
    method = context.get_start_method()
    if not _settings.is_known(context):
        return f"`{method}` is no start method of multiprocessing"
    if type(context).Process.__module__ != "multiprocessing.context":
        return f"`{type(context).__qualname__}` has a `Process` of its own"
    return None
