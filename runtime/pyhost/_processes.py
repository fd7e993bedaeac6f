"""Workers as the process objects of multiprocessing, for code that looks at a pool's `_processes`."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Optional

from pyhost import _names

# How long after its end a worker's exit status may still be on its way.
_STATUS_PATIENCE = 1.0


class WorkerProcess:
    """One worker process, as `multiprocessing.Process` shows one.

    pid, ident: of the process; name: as `multiprocessing.current_process().name` in it
    sentinel: a descriptor that is readable once it ended

    Threads: any. Stays valid when the process, or the pool, has ended.
    """

    daemon = True

    def __init__(self, native, pid: int, name: str):
        self._native = native
        self.pid = self.ident = pid
        self.name = name
        self.sentinel = native.pidfd(pid)
        self._exit_code: Optional[int] = None

    @property
    def _popen(self):  # which multiprocessing asks for what it has started itself
        return self

    def poll(self) -> Optional[int]:
        return None

    def is_alive(self) -> bool:
        return not self._has_ended(0)

    def join(self, timeout: Optional[float] = None) -> None:
        """Waits until it has ended, or `timeout` (seconds) has passed."""
        self._has_ended(timeout)

    def terminate(self) -> None:
        """SIGTERM. The pool takes it for a crash."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL. The pool takes it for a crash."""
        self._signal(signal.SIGKILL)

    @property
    def exitcode(self) -> Optional[int]:
        """None while it runs, -N when signal N ended it; 0, too, when it ended with its pool."""
        if self._exit_code is None and not self.is_alive():
            deadline = time.monotonic() + _STATUS_PATIENCE
            code = self._native.exit_code(self.pid)
            while code is None and not self._native.drained and time.monotonic() < deadline:
                time.sleep(0.001)
                code = self._native.exit_code(self.pid)
            self._exit_code = code or 0
        return self._exit_code

    def _signal(self, number):
        try:
            signal.pidfd_send_signal(self.sentinel, number)
        except ProcessLookupError:  # it has ended
            pass

    def _has_ended(self, timeout):
        poll = select.poll()
        poll.register(self.sentinel, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, timeout) * 1000))

    def __repr__(self) -> str:
        state = "started" if self.is_alive() else "stopped"
        return f"<{type(self).__name__} name={self.name!r} pid={self.pid} {state}>"

    def __del__(self):
        sentinel = self.__dict__.pop("sentinel", None)
        if sentinel is not None:
            os.close(sentinel)


class Processes:
    """The worker processes of one native engine. The object of a process is the same each time."""

    def __init__(self, native, facts):
        self._native = native
        self._facts = facts  # what workers inherit, by `_inheritance`
        self._known = {}

    def find(self, timeout):
        """{pid: WorkerProcess} of those alive, once as many as are wanted have started; `timeout` in seconds."""
        found = {}
        for number, pid, identity in self._native.processes(timeout):
            process = self._known.get(pid)
            if process is None or not process.is_alive():  # pids come again
                try:
                    process = WorkerProcess(self._native, pid, _names.name_of(self._facts, number, identity))
                except ProcessLookupError:  # it ended meanwhile
                    continue
            found[pid] = process
        self._known = found
        return dict(found)
