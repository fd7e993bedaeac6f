"""joblib's own tests of `Parallel`, with pyhost's backend wherever they name loky, and as the default."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

import conformance

# Put before joblib's own tests, in the driver and in the workers.
LOKY_IS_PYHOST = '''
import joblib.parallel
from pyhost._joblib import PyhostBackend


class LokyBackend(PyhostBackend):
    """pyhost's, by the name that the tests compare with."""

    default_n_jobs = 1


for module in (joblib.parallel, joblib._parallel_backends):
    module.LokyBackend = LokyBackend
joblib.parallel.BACKENDS["loky"] = LokyBackend
'''

PLUGIN = '''
import json, os, re, sys
import loky_is_pyhost

EXCLUDED = json.loads(os.environ["PYHOST_EXCLUDED"])
used, ran = set(), 0


def pytest_collection_modifyitems(config, items):
    kept = []
    for item in items:
        names = {item.name, item.name.partition("[")[0]}
        hit = names & set(EXCLUDED)
        used.update(hit)
        if not hit:
            kept.append(item)
    items[:] = kept


def pytest_sessionfinish(session):
    print(f"\\nran {session.testscollected - session.testsfailed}")
    if set(EXCLUDED) - used:
        print("excluded, but not there:", set(EXCLUDED) - used)
        session.exitstatus = 1
'''
