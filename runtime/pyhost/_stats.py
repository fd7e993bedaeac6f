"""What a future tells of its call besides the result."""

from typing import NamedTuple, Optional


class Stats(NamedTuple):
    """How a call went: `Future.stats`.

        >>> future = executor.submit(time.sleep, 0.1)
        >>> future.result()
        >>> future.stats.seconds >= 0.1, future.stats.attempts, future.stats.peak_memory > 2**20
        (True, 1, True)

    queued: seconds from `submit` to its start (with several attempts: of the last one); until its outcome, when it
        never started
    started: when that was, by `time.monotonic()`; None: it never started
    seconds: from its start until the driver had the outcome, so that encoding the result is part of it
    worker: the number of its worker, as `current_worker().id`; None: it never started
    peak_memory: the most bytes that were resident in its worker so far, shared ones included, as of a few milliseconds
        before the call ended at worst; None: not known, because the worker died and nobody could tell
    attempts: how often it ran, more than once with `retries`; 0: it never started
    """

    queued: float
    started: Optional[float]
    seconds: float
    worker: Optional[int]
    peak_memory: Optional[int]
    attempts: int
