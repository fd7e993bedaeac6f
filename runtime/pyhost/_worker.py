"""What a task can ask about where it runs."""

import os
from typing import NamedTuple, Optional

from pyhost._core import core


class Worker(NamedTuple):
    """One worker of a pool, as `current_worker` gives it.

        >>> executor.submit(pyhost.current_worker).result().pid in executor._processes
        True

    id: its number in the pool, counted from 0; a replacement has the number of the worker it replaces
    pid: its process
    """

    id: int
    pid: int

    def cancelled(self) -> bool:
        """Whether the call that asks is to stop: it was cancelled by force, or a limit of it is reached.

        `TaskInterrupted` says the same unasked, as soon as Python code runs.

            >>> def work(parts):
            ...     return [part for part in parts if not pyhost.current_worker().cancelled()]
            >>> executor.submit(work, [1, 2]).result()
            [1, 2]
        """
        return core.task_cancelled()


def current_worker() -> Optional[Worker]:
    """The worker this code runs in, or None in the driver.

        >>> def where():
        ...     worker = pyhost.current_worker()
        ...     return "in the driver" if worker is None else f"in a worker"
        >>> where(), executor.submit(where).result()
        ('in the driver', 'in a worker')
    """
    number = core.current_worker()
    return None if number < 0 else Worker(number, os.getpid())
