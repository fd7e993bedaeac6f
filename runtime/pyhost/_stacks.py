"""Where the workers are: for a person who wonders why nothing happens."""

import os
import sys
from typing import List, NamedTuple


class WorkerStack(NamedTuple):
    """Where one worker is.

        >>> print(pyhost.WorkerStack(worker=0, pid=4711, call="load", seconds=12.3, stack=""))
        worker 0 (pid 4711), in `load` for 12.3 s
          no answer: it does not run Python code just now

    worker: its number in the pool
    pid: its process
    call: what it runs, with the arguments where they are text; empty: nothing
    seconds: for how long
    stack: the Python stacks of its threads, innermost call first; empty: it gave no answer
    """

    worker: int
    pid: int
    call: str
    seconds: float
    stack: str

    def __str__(self) -> str:
        doing = f"in `{self.call}` for {self.seconds:.1f} s" if self.call else "idle"
        lines = self.stack.rstrip() or "no answer: it does not run Python code just now" if self.call else ""
        return f"worker {self.worker} (pid {self.pid}), {doing}" + "".join(f"\n  {line}" for line in lines.splitlines())


def stacks(timeout: float = 1.0) -> List[WorkerStack]:
    """Where every worker of every pool of this process is.

        >>> for where in pyhost.stacks():       # doctest: +SKIP
        ...     print(where)
        worker 0 (pid 4711), in `load` for 12.3 s
          Current thread 0x00007f1bc8f5a740 (most recent call first):
            File "etl.py", line 17 in load

    timeout: seconds to wait for the answers of a pool's workers; one that gave none has an empty stack
    """
    lifecycle = sys.modules.get("pyhost._lifecycle")
    return [where for pool in lifecycle.pools() for where in pool.stacks(timeout)] if lifecycle else []


def report():
    """Prints where the workers are, for a person: what SIGUSR1 does under `pyhost run`."""
    lines = [str(where) for where in stacks()]
    if lines:
        # Past sys.stderr, which the interrupted code may be in the middle of writing to.
        os.write(2, "".join(f"pyhost: {line}\n" for line in lines).encode(errors="backslashreplace"))
