"""What a multiprocessing context, or a subclass, asks of an adopted pool; and whether it can be given."""

from pyhost import _settings

# What the start methods of multiprocessing are here. A zygote is a fresh interpreter, as the server of
# `forkserver` is; its workers are copies of it, so `spawn` differs only in what it costs.
_STARTS = {"fork": "fork", "forkserver": "zygote", "spawn": "zygote"}


def start_of(context):
    """The start method here for that of the context.

    The platform's own default was not asked for by the script, so `pyhost run --start` decides.
    """
    from multiprocessing import context as contexts
    method = context.get_start_method()
    default = contexts._default_context._default_context.get_start_method()
    if method == default and _settings.start_told() is not None:
        return _settings.start_told()
    return _STARTS[method]


def obstacle(cls, adopted, context):
    """Why an instance of `cls` needs the pool of the standard library, which follows `adopted` in its bases; or None.

    Who overrides what is internal there has it run there.
    """
    place = cls.__mro__.index(adopted)
    stdlib = cls.__mro__[place + 1]
    for base in cls.__mro__[:place]:
        for name in vars(base):
            inner = name == "Process" or (name.startswith("_") and not name.startswith("__"))
            if inner and name in vars(stdlib):
                return f"`{cls.__qualname__}` overrides `{name}`"
    method = context.get_start_method()
    if method not in _STARTS:
        return f"`{method}` is no start method of multiprocessing"
    if type(context).Process.__module__ != "multiprocessing.context":
        return f"`{type(context).__qualname__}` has a `Process` of its own"
    return None
