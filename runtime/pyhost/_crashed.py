"""The errors whose base class is costly to import."""

from concurrent.futures.process import BrokenProcessPool

from pyhost.errors import HostFailure, StartupError


class BrokenAtStart(StartupError, BrokenProcessPool):
    """The workers cannot start, or their initializer failed: what concurrent.futures calls a broken pool."""


class WorkerCrashed(HostFailure, BrokenProcessPool):
    """The worker's process ended while it ran the task. Only that task is lost; the pool goes on.

        >>> future = executor.submit(os._exit, 3)
        >>> try:
        ...     future.result()
        ... except pyhost.WorkerCrashed as error:
        ...     print(error.call, "ended its worker with status", error.exit_code)
        _exit ended its worker with status 3
    """
