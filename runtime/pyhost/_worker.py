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


def current_worker() -> Optional[Worker]:
    """The worker this code runs in, or None in the driver.

        def task():
            print("on worker", pyhost.current_worker().id)
    """
    number = core.current_worker()
    return None if number < 0 else Worker(number, os.getpid())
