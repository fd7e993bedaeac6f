"""The defaults of pools: what `pyhost run` was told, else pyhost's own."""

import sys

from pyhost import _limits
from pyhost._core import core

STARTS = ("auto", "fork", "zygote", "spawn")


def _read():
    run_options = getattr(core, "run_options", None)
    text = run_options() if run_options is not None else None
    return core.json_loads(text) if text else {}


_options = _read()


class Settings:
    """How a pool is set up.

    start: the start method
    limits: those of every call, as `_limits.of_calls` has them
    workers: what concerns the workers, by the engine's names
    process_name, daemon, main, method: as `for_engine` has them
    preload: modules that a zygote imports besides those that were asked for
    as_stdlib: like a pool of the standard library where pyhost's own do more: context variables stay in the driver
    """

    def __init__(self, start, limits, workers, *, process_name, daemon, main, method, as_stdlib):
        self.start = start
        self.limits = limits
        self.workers = workers
        self.process_name = process_name
        self.daemon = daemon
        self.main = main
        self.method = method
        self.as_stdlib = as_stdlib
        self.preload = ()

    def with_memory(self, memory):
        changed = Settings.__new__(Settings)
        changed.__dict__ = {**self.__dict__, "workers": {**self.workers, "memory": memory}}
        return changed


def for_engine(max_workers=None, start=None, limits=None, *, process_name=None, daemon=None, main=None,
               method=None, as_stdlib=False, **workers):
    """The settings of a pool: those given, checked; else what `pyhost run` was told; else the engine's own.

    Inside a worker a pool has one worker: its siblings have the other CPUs.

    process_name: what `multiprocessing.current_process().name` begins with in workers, a number follows; None:
        `pyhost-worker`, which counts from 0 per pool
    daemon: `multiprocessing.current_process().daemon` there; None: as in the driver
    main: what becomes of the functions and classes of `__main__` in workers that are no copies of this process:
        `by value`: they are sent; `import`: workers import the main module as `__mp_main__`, and find them there;
        None: the former, but in a worker that has imported it, whose functions are named after it, the latter
    method: what `multiprocessing.get_start_method()` says in workers; None: as in the driver
    own_arrays: bytes up to which a buffer among a task's arguments is its own copy to write to; buffers in results
        can be written to then, whatever their size; None: neither
    """
    if main is None:
        main = "import" if getattr(sys.modules["__main__"], "__name__", "") == "__mp_main__" else "by value"
    start = start or _options.get("start") or "auto"
    if start not in STARTS:
        raise ValueError(f"unknown start method `{start}`; expected one of {', '.join(STARTS)}")
    told = {name: _options[name] for name in _limits.OF_CALLS if _options.get(name) is not None}
    limits = {**_limits.of_calls(**told), **(limits or {})}
    found = {}
    for name, check in _CHECKS.items():
        value = workers.pop(name, None)
        found[name] = check(name, _options.get(name) if value is None else value)
    if workers:
        raise TypeError(f"a pool has no option `{next(iter(workers))}`")
    if max_workers is not None:
        found["min_workers"], found["workers"] = _limits.workers(max_workers)
    elif core.current_worker() >= 0:
        found["min_workers"] = found["workers"] = 1
    else:
        found["workers"] = int(_options.get("workers") or 0)
        found["min_workers"] = int(_options.get("min_workers", found["workers"]))
    return Settings(start, limits, found, process_name=process_name, daemon=daemon, main=main, method=method,
                    as_stdlib=as_stdlib)


_CHECKS = {
    "memory": _limits.size,
    "concurrency": lambda name, value: _limits.count(name, value, 1),
    "threads_per_worker": _limits.count,
    "max_tasks_per_worker": _limits.count,
    "max_worker_age": _limits.seconds,
    "max_worker_memory": _limits.size,
    "own_arrays": _limits.size,
    "on_crash": lambda name, value: _limits.choice(name, value, ("task", "pool")),
    "idle_time": lambda name, value: _limits.seconds(name, value, zero=True),
}


def as_needed(max_workers):
    """So many workers as multiprocessing's executor starts them where that is costly: when a call finds none idle."""
    return (1, max_workers) if isinstance(max_workers, int) and max_workers > 0 else max_workers


def check_sizes(chunksize, buffersize):
    """How many items of a map travel together, and how far it may read ahead; refused in the words of the standard
    library. None: as the pool sees fit."""
    for name, value, wanted in ("chunksize", chunksize, ">= 1"), ("buffersize", buffersize, "None or > 0"):
        if value is None:
            continue
        if not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an integer or None, and is `{value!r:.200}`")
        if value < 1:
            raise ValueError(f"{name} must be {wanted}, and is {value}")


def start_told():
    """The start method `pyhost run` was told, or None."""
    return _options.get("start")


# Which start method gives what a multiprocessing context promises.
_STARTS_OF_CONTEXTS = {"fork": "fork", "forkserver": "zygote", "spawn": "zygote"}


def method_of(context):
    """The start method of a multiprocessing context, by multiprocessing's name."""
    method = getattr(context, "get_start_method", None)
    if not callable(method):
        raise TypeError(f"mp_context is `{context!r:.100}`; expected a multiprocessing context, as in "
                        f"multiprocessing.get_context(\"spawn\")")
    method = method()
    if method not in _STARTS_OF_CONTEXTS:
        raise ValueError(f"mp_context has start method `{method}`; expected one of {', '.join(_STARTS_OF_CONTEXTS)}")
    return method


def start_of(context):
    """The start method for a multiprocessing context."""
    return start_of_method(method_of(context))


def start_of_method(method):
    return _STARTS_OF_CONTEXTS[method]


def of_context(context):
    """What workers of a pool that was given this multiprocessing context, or None, have of it beside its start."""
    if context is None:
        return {}
    method = method_of(context)
    return {"main": "by value" if method == "fork" else "import", "method": method}


def is_known(context):
    """Whether `start_of` knows the context's start method."""
    return context.get_start_method() in _STARTS_OF_CONTEXTS


def image():
    return _options.get("image") or "auto"


def preload():
    """Modules that a zygote imports before it forks workers."""
    wanted = _options.get("preload") or []
    return wanted.split(",") if isinstance(wanted, str) else list(wanted)


def choose_start(wanted):
    """`fork` or another start method for `auto`: a fork copies only the thread that forks, so whatever lock
    another thread holds would stay locked in the workers."""
    if wanted not in STARTS:
        raise ValueError(f"unknown start method `{wanted}`; expected one of {', '.join(STARTS)}")
    if wanted != "auto":
        return wanted
    return "fork" if core.foreign_threads() == 0 else "zygote"
