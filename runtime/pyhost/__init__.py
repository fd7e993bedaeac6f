"""Runs Python functions across a pool of isolated interpreters, one per process.

    >>> import pyhost
    >>> sum(pyhost.map(len, ["a", "bb", "ccc"]))        # lazy, in order, on a pool kept warm
    6
    >>> with pyhost.Executor(max_workers=2) as executor:    # a concurrent.futures.Executor
    ...     future = executor.submit(sorted, "cab", reverse=True)
    ...     print(future.result())
    ['c', 'b', 'a']

Available inside `pyhost run script.py` and from an ordinary `python3`. Functions of the script
itself work; no `if __name__ == "__main__":` guard is needed.
"""

import pyhost._core  # says at once when there is no core for this Python

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:  # `as` says that the name is for others to use
    from pyhost import aio as aio
    from pyhost._adopt import adopted as adopted
    from pyhost._crashed import WorkerCrashed as WorkerCrashed
    from pyhost._default import (as_completed as as_completed, map as map, options as options, starmap as starmap,
                                 submit as submit)
    from pyhost._joblib import register_joblib as register_joblib
    from pyhost._limited import Limited as Limited
    from pyhost._stacks import WorkerStack as WorkerStack, stacks as stacks
    from pyhost._task import task as task
    from pyhost._worker import Worker as Worker, current_worker as current_worker
    from pyhost.errors import (Backpressure as Backpressure, MarshalError as MarshalError,
                               ProtocolError as ProtocolError, RemoteError as RemoteError,
                               SandboxUnavailable as SandboxUnavailable, SandboxViolation as SandboxViolation,
                               StartupError as StartupError, TaskCpuError as TaskCpuError,
                               TaskInterrupted as TaskInterrupted, TaskMemoryError as TaskMemoryError,
                               TaskTimeout as TaskTimeout)
    from pyhost.executor import Executor as Executor
    from pyhost._stats import Stats as Stats
    from pyhost.futures import Future as Future
    from pyhost.pool import Pool as Pool

__version__ = "0.1.0"

# Where each name lives. Modules are imported when a name of theirs is first used, because
# concurrent.futures and what it imports cost several milliseconds of every start.
_HOMES = {
    "adopted": "_adopt",
    "as_completed": "_default", "map": "_default", "options": "_default", "starmap": "_default",
    "submit": "_default", "task": "_task",
    "register_joblib": "_joblib",
    "Limited": "_limited",
    "Executor": "executor", "Future": "futures", "Stats": "_stats", "Pool": "pool",
    "WorkerStack": "_stacks", "stacks": "_stacks",
    "Worker": "_worker", "current_worker": "_worker",
    **dict.fromkeys(("Backpressure", "MarshalError", "ProtocolError", "RemoteError", "SandboxUnavailable",
                     "SandboxViolation", "StartupError", "TaskCpuError", "TaskInterrupted", "TaskMemoryError",
                     "TaskTimeout", "WorkerCrashed"), "errors"),
}

__all__ = ["__version__", "aio", *_HOMES]


def __getattr__(name):
    home = _HOMES.get(name)
    if name == "aio":
        return __import__("pyhost.aio").aio
    if home is None:
        from pyhost._core import core
        close = core.closest_name(name, __all__)
        raise AttributeError(f"module 'pyhost' has no attribute {name!r}" + (close and f"; did you mean `{close}`?"))
    from pyhost import _interrupts
    _interrupts.end_in_one_line()  # Ctrl-C may come while modules are imported
    # Not importlib.import_module: that would import importlib's Python half first.
    value = getattr(__import__(f"pyhost.{home}", fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
