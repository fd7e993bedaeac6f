"""The core under test, loaded as the launcher loads it.

PYHOST_TEST_CORE names the library; else it is found in PYHOST_RUNTIME by the version of this Python.
"""

import _imp
import importlib.machinery
import os
import sys
import unittest


def path():
    tag = "cp%d%d%s" % (*sys.version_info[:2], getattr(sys, "abiflags", ""))
    named = os.environ.get("PYHOST_TEST_CORE")
    return named or os.path.join(os.environ["PYHOST_RUNTIME"], f"pyhost-core-{tag}.so")


def load():
    if "_pyhost_core" not in sys.modules:
        spec = importlib.machinery.ModuleSpec("_pyhost_core", None, origin=path())
        module = _imp.create_dynamic(spec)
        sys.modules["_pyhost_core"] = module
        _imp.exec_dynamic(module)
    return sys.modules["_pyhost_core"]


def resident_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4


def growth_kib(action, rounds):
    """Memory that `action` leaves behind, after enough rounds to fill caches and free lists."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        raise unittest.SkipTest("address sanitizer keeps freed memory")
    for _ in range(rounds):
        action()
    before = resident_kib()
    for _ in range(rounds):
        action()
    return resident_kib() - before
