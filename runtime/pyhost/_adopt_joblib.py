"""joblib's default backend on pyhost. Scripts that name a backend get the one they name."""

from pyhost import _adopt


def adopt(module):
    """Makes "pyhost" the default of joblib.parallel, whose registry is there by now."""
    module.register_parallel_backend("pyhost", _backend, make_default=True)


def _backend(**options):
    """Imports what it needs now: many a script imports joblib for the sake of another library."""
    from pyhost import _joblib, _joblib_pools
    _joblib_pools.started = _started
    return _joblib.LokyBackend(**options)


def _started(workers):
    _adopt.made("joblib", f"joblib.Parallel(n_jobs={workers})", "zygote", workers)
