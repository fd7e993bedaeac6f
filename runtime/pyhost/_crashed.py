"""The one error whose base class is costly to import."""

from concurrent.futures.process import BrokenProcessPool

from pyhost.errors import HostFailure


class WorkerCrashed(HostFailure, BrokenProcessPool):
    """The worker's process ended while it ran the task. Only that task is lost; the pool goes on.

        try:
            future.result()
        except pyhost.WorkerCrashed as error:
            print(error.call, "died of", error.likely_cause, error.stack)
    """
