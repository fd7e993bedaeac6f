"""What can become of a call besides its result. The same outcomes have the same names in C++ (`Error::code`)
and in the command (`"kind"`)."""

import concurrent.futures

from pyhost._core import core

MarshalError = core.MarshalError  # a ValueError: a value cannot cross; names its path
TaskInterrupted = core.TaskInterrupted  # a BaseException: raised in a task that is to stop

_futures_timeout = concurrent.futures.TimeoutError  # the built-in one since Python 3.11


class _HostFailure(RuntimeError):
    """A failure that the host describes, not the function.

    worker: number of the worker concerned, -1 when there was none
    """

    worker = -1


class StartupError(_HostFailure):
    """The interpreter or what it loads first cannot start. Names all that was tried."""


class Backpressure(_HostFailure):
    """The pool's budget of shared memory is spent. Wait for results, or raise it."""


class ProtocolError(_HostFailure):
    """A worker broke the protocol and was replaced. A bug: please report it."""


class SandboxViolation(_HostFailure):
    """The sandbox refused an act of the task."""


class SandboxUnavailable(_HostFailure):
    """This machine lacks a sandbox layer that was asked for."""


class TaskCpuError(_HostFailure):
    """The task used more CPU time than it may."""


class TaskMemoryError(MemoryError):
    """The task used more memory than it may."""

    worker = -1


class TaskTimeout(*dict.fromkeys((_futures_timeout, TimeoutError))):
    """The task ran longer than it may; its worker was killed, alone."""

    worker = -1


class RemoteError(Exception):
    """An exception of the function that could not be rebuilt here (its class cannot be imported or pickled).

    type_name: of the original, such as `package.SomeError`
    message: its `str()`
    traceback: as Python printed it there
    frames: dicts with `file`, `line`, `function` and `text`, outermost call first
    cause: the RemoteError of what caused it, or None
    """

    def __init__(self, type_name, message, traceback="", frames=(), cause=None):
        super().__init__(type_name, message, traceback, frames, cause)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        self.frames = list(frames)
        self.cause = cause

    def __str__(self):
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


_KINDS = {
    "timeout": TaskTimeout, "memory": TaskMemoryError, "cpu": TaskCpuError, "marshal": MarshalError,
    "startup": StartupError, "violation": SandboxViolation, "sandbox_unavailable": SandboxUnavailable,
    "backpressure": Backpressure, "protocol": ProtocolError, "cancelled": concurrent.futures.CancelledError,
}


def __getattr__(name):
    # A BrokenProcessPool by inheritance, whose module imports multiprocessing: only where it is used.
    if name == "WorkerCrashed":
        from pyhost._crashed import WorkerCrashed
        globals()[name] = WorkerCrashed
        return WorkerCrashed
    raise AttributeError(f"module 'pyhost.errors' has no attribute {name!r}")


def _remote_error(description):
    cause = description.get("cause")
    return RemoteError(description["type"], description["message"], description["traceback"], description["frames"],
                       _remote_error(cause) if cause else None)


def _with_remote_traceback(exception, traceback):
    """Chains the remote traceback, as concurrent.futures does."""
    from concurrent.futures.process import _RemoteTraceback
    exception.__cause__ = _RemoteTraceback(f'\n"""\n{traceback}"""')
    return exception


def rebuild(description, exception):
    """The exception of a function, from its description and, where it could be pickled, itself."""
    if exception is None:
        exception = _remote_error(description)
    return _with_remote_traceback(exception, description["traceback"])


def from_failure(kind, message, worker, signal, exit_code, stderr_tail, traceback):
    """The exception for a failure that the host described."""
    if kind == "crashed":
        from pyhost._crashed import WorkerCrashed
        return WorkerCrashed(message, worker, signal, exit_code, stderr_tail)
    exception = _KINDS.get(kind, _HostFailure)(message)
    if worker >= 0:
        exception.worker = worker
    return _with_remote_traceback(exception, traceback) if traceback else exception
