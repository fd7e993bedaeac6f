"""joblib's default backend on pyhost. Scripts that name a backend get the one they name."""

from pyhost import _adopt


def adopt(module):
    """Makes "pyhost" the default of joblib.parallel, whose registry is there by now."""
    from pyhost import _joblib, _joblib_pools
    _joblib.register_joblib(make_default=True)
    _joblib_pools.started = _started


def _started(workers):
    _adopt.made("joblib", f"joblib.Parallel(n_jobs={workers})", "zygote", workers)
