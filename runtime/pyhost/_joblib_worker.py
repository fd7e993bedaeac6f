"""What workers of joblib's calls import before anything else; the zygote does it for all of them."""

import joblib.parallel
from joblib.externals.loky import process_executor

# So that joblib starts no processes below a worker with `backend="multiprocessing"`: it says so, and runs in one.
process_executor._CURRENT_DEPTH = getattr(process_executor, "_CURRENT_DEPTH", 0) + 1


def _backend(**options):
    from pyhost._joblib import PyhostBackend
    return PyhostBackend(**options)


# What a task may ask for by name, as in its driver; where joblib is adopted it is there.
if "pyhost" not in joblib.parallel.BACKENDS:
    joblib.parallel.register_parallel_backend("pyhost", _backend)
