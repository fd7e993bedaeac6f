"""What a task can ask about where it runs."""

import os
from typing import NamedTuple, Optional

from pyhost._core import core


class Worker(NamedTuple):
    """One worker of a pool.

    id: its number in the pool, counted from 0; a replacement has the number of the worker it replaces
    pid: its process
    """

    id: int
    pid: int

    def cancelled(self) -> bool:
        """Whether the call that asks is to stop: it was cancelled by force, or a limit of it is reached.

        `TaskInterrupted` says the same unasked, as soon as Python code runs.
        """
        return core.task_cancelled()


def current_worker() -> Optional[Worker]:
    """The worker this code runs in, or None in the driver.

        def task(parts):
            worker = pyhost.current_worker()
            for part in parts:
                if worker and worker.cancelled():
                    break
                work_on(part)
    """
    number = core.current_worker()
    return None if number < 0 else Worker(number, os.getpid())
