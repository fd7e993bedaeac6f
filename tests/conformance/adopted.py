"""CPython's tests of multiprocessing.Pool, unchanged, in `pyhost run`, which adopts it."""

import sys

import conformance
import cpython
import interpreter

CASES = ("WithProcessesTestPool", "WithProcessesTestPoolWorkerErrors", "WithProcessesTestPoolWorkerLifetime",
         "WithManagerTestPool", "WithThreadsTestPool", "TestInitializers")

# Without cloudpickle, as CPython is: some tests need functions that cannot be sent. In workers, too, which import this.
sys.modules["cloudpickle"] = sys.modules["cloudpickle.cloudpickle"] = sys.modules["joblib"] = None


def run(suite, method):
    """Runs the tests of one start method, and exits."""
    interpreter.become_pyhost_run()
    tests = cpython.load(f"test_multiprocessing_{method}", "test_processes", "test_manager", "test_threads", "test_misc")
    conformance.run(suite, [getattr(tests, case) for case in CASES], at_least=84)
