"""What can become of a call besides its result. The same outcomes have the same names in C++ (`Error::code`)
and in the command (`"kind"`)."""

from __future__ import annotations

import concurrent.futures

from pyhost._core import core

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Optional

MarshalError = core.MarshalError  # a ValueError: a value cannot cross; names its path
TaskInterrupted = core.TaskInterrupted  # a BaseException: raised in a task that is to stop

_futures_timeout = concurrent.futures.TimeoutError  # the built-in one since Python 3.11


class HostFailure(Exception):
    """What the host knows of a call that failed, beside the message. Its subclasses say how.

    worker: number of the worker concerned, -1 when there was none
    signal: what killed it, such as `signal.SIGKILL`; 0 when no signal did
    exit_code: its exit status; -1 when it did not exit by itself
    stderr_tail: the last lines it wrote to stderr
    stack: the Python stacks of its threads when it died or was stopped, as far as they are known
    likely_cause: of its death, in words; may be empty
    call: the function, with its arguments where they are text
    seconds: how long the call had run
    peak_memory: the most bytes the worker ever held; 0: not known
    attempts: how often the call was run
    """

    def __init__(self, message: str = "", worker: int = -1, signal: int = 0, exit_code: int = -1,
                 stderr_tail: str = "", stack: str = "", likely_cause: str = "", call: str = "", seconds: float = 0.0,
                 peak_memory: int = 0, attempts: int = 1):
        super().__init__(message)
        self.worker = worker
        self.signal = signal
        self.exit_code = exit_code
        self.stderr_tail = stderr_tail
        self.stack = stack
        self.likely_cause = likely_cause
        self.call = call
        self.seconds = seconds
        self.peak_memory = peak_memory
        self.attempts = attempts

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        return f"{message}\n  {self.likely_cause}" if self.likely_cause else message


class StartupError(HostFailure, RuntimeError):
    """The interpreter, what it loads first or the initializer failed. Names all that was tried.

        >>> with pyhost.Executor(1, initializer=int, initargs=("x",)) as executor:
        ...     print(isinstance(executor.submit(abs, 1).exception(), pyhost.StartupError))
        True
    """


class Backpressure(HostFailure, RuntimeError):
    """The pool's budget of shared memory is spent. Wait for results, or raise it."""


class ProtocolError(HostFailure, RuntimeError):
    """A worker broke the protocol and was replaced. A bug: please report it."""


class SandboxViolation(HostFailure, RuntimeError):
    """The sandbox refused an act of the task."""


class SandboxUnavailable(HostFailure, RuntimeError):
    """This machine lacks a sandbox layer that was asked for."""


class TaskCpuError(HostFailure, RuntimeError):
    """The task used more CPU time than its `cpu` limit allows.

        >>> future = pyhost.options(cpu=0.2, grace=0).submit(sum, range(10**12))
        >>> print(type(future.exception()).__name__)
        TaskCpuError
    """


class TaskMemoryError(HostFailure, MemoryError):
    """The task's worker held more memory than its `memory` limit allows.

        >>> future = pyhost.options(memory="200M").submit(bytearray, 10**9)
        >>> print(type(future.exception()).__name__)
        TaskMemoryError
    """


class TaskTimeout(HostFailure, *dict.fromkeys((_futures_timeout, TimeoutError))):  # type: ignore[misc]
    """The task ran longer than its `timeout`; it alone was stopped.

        >>> future = pyhost.options(timeout=0.2).submit(time.sleep, 1000)
        >>> try:
        ...     future.result()
        ... except pyhost.TaskTimeout as error:
        ...     print("stopped:", error.call)
        stopped: sleep
    """


class RemoteError(Exception):
    """An exception of the function that could not be rebuilt here (its class cannot be imported or pickled).

        >>> def fail():
        ...     raise ValueError(threading.Lock())
        >>> future = pyhost.submit(fail)
        >>> print(future.exception().type_name)
        ValueError

    type_name: of the original, such as `package.SomeError`
    message: its `str()`
    traceback: as Python printed it there
    reason: why the exception itself could not be sent, with the path of what in it
    frames: dicts with `file`, `line`, `function` and `text`, outermost call first
    cause: the RemoteError of what caused it, or None
    """

    def __init__(self, type_name: str, message: str, traceback: str = "", frames: Iterable[Dict[str, Any]] = (),
                 cause: Optional["RemoteError"] = None, reason: str = ""):
        super().__init__(type_name, message, traceback, frames, cause, reason)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        self.frames = list(frames)
        self.cause = cause
        self.reason = reason

    def __str__(self) -> str:
        text = f"{self.type_name}: {self.message}" if self.message else self.type_name
        return f"{text}\n  described here, because: {self.reason}" if self.reason else text


class _Unknown(HostFailure, RuntimeError):
    """A failure without a class of its own: something raised while the pool was set up."""


_KINDS = {
    "timeout": TaskTimeout, "memory": TaskMemoryError, "cpu": TaskCpuError,
    "violation": SandboxViolation, "sandbox_unavailable": SandboxUnavailable, "backpressure": Backpressure,
    "protocol": ProtocolError,
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
                       _remote_error(cause) if cause else None, description.get("unsent", ""))


def _with_remote_traceback(exception, traceback):
    """Chains the remote traceback, as concurrent.futures does."""
    from concurrent.futures.process import _RemoteTraceback
    exception.__cause__ = _RemoteTraceback(f'\n"""\n{traceback}"""')
    return exception


def rebuild(description, exception):
    """The exception of a function, from its description and, where it could be pickled, itself."""
    if exception is None:
        exception = _remote_error(description)
    elif type(exception) is MarshalError:
        from pyhost import _refused
        exception = _refused.again(exception, (description.get("cause") or {}).get("type", ""))
    if "stdout" in description:  # what the call had printed, see Future.stdout
        exception.__dict__["__pyhost_stdout__"] = description["stdout"]
    return _with_remote_traceback(exception, description["traceback"])


def from_failure(kind, traceback, details):
    """The exception for a failure that the host described; `details` as HostFailure takes them."""
    if kind == "cancelled":
        return concurrent.futures.CancelledError(details["message"])
    if kind == "marshal":
        failure = MarshalError(details["message"])
    elif kind == "crashed":
        from pyhost._crashed import WorkerCrashed
        failure = WorkerCrashed(**details)
    elif kind == "startup":
        from pyhost._crashed import BrokenAtStart
        failure = BrokenAtStart(**details)
    else:
        failure = _KINDS.get(kind, _Unknown)(**details)
    stack = traceback or details["stack"]
    return _with_remote_traceback(failure, stack) if stack else failure
