"""The one error whose base class is costly to import."""

from concurrent.futures.process import BrokenProcessPool


class WorkerCrashed(BrokenProcessPool):
    """The worker's process ended while it ran the task. Only that task is lost; the pool goes on.

    worker: its number
    signal: what killed it, such as `signal.SIGKILL`; 0 when no signal did
    exit_code: its exit status; -1 when it did not exit by itself
    stderr_tail: the last lines it wrote to stderr
    """

    def __init__(self, message="", worker=-1, signal=0, exit_code=-1, stderr_tail=""):
        super().__init__(message)
        self.worker = worker
        self.signal = signal
        self.exit_code = exit_code
        self.stderr_tail = stderr_tail

    def __reduce__(self):
        return type(self), (str(self), self.worker, self.signal, self.exit_code, self.stderr_tail)
