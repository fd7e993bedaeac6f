"""Puts pyhost's backend where joblib has loky's: by its name, as the default, and as the class the tests import."""

import joblib.parallel

from pyhost._joblib import PyhostBackend


class LokyBackend(PyhostBackend):
    default_n_jobs = 1


def install():
    joblib._parallel_backends.LokyBackend = LokyBackend  # joblib.parallel asks its own for what only loky has
    joblib.parallel.BACKENDS["loky"] = LokyBackend
