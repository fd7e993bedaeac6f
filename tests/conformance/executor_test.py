"""CPython's tests of concurrent.futures on `pyhost.Executor`, with the standard library's contract for crashes."""

import concurrent.futures

import conformance  # first: it finds the package
import cpython
import pyhost

suite = cpython.load("test_concurrent_futures", "util", "executor", "test_as_completed", "test_deadlock", "test_future",
                     "test_init", "test_process_pool", "test_shutdown", "test_wait")


class Executor(pyhost.Executor):
    """What the tests make. Its name is the one their scripts import from concurrent.futures."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, on_crash="pool", **kwargs)

    # The tests wait for a pool's end by joining the thread and the queue that the standard library's has.

    @property
    def _executor_manager_thread(self):
        return _Ending(self._processes)

    @property
    def _call_queue(self):
        return _Ending(self._processes)


class _Ending:
    """Is over when the workers are."""

    def __init__(self, processes):
        self._processes = processes

    def join(self):
        for process in self._processes.values():
            process.join()

    join_thread = join


class ByName(Executor):
    """What the tests find as `ProcessPoolExecutor`. Not the class under test itself, for which they skip what hangs
    with the standard library's."""


# Forced, because the tests' module of 3.9, from which scripts import, makes a lock, which fixes the start method.
PRELUDE = f"""
import sys
sys.path[:0] = [{str(conformance.PACKAGES)!r}]
import functools
import multiprocessing
multiprocessing.set_start_method = functools.partial(multiprocessing.set_start_method, force=True)
import concurrent.futures
import pyhost
concurrent.futures.Executor = pyhost.Executor
"""

_assert_python_ok = suite.assert_python_ok


def assert_python_ok(option, script):
    return _assert_python_ok(option, f"{PRELUDE}\n{script}")


def case(mixin, pool, bases=(suite.BaseTestCase,)):
    """As the tests' own `create_executor_tests`."""
    name = f"{pool.__name__[:-len('Mixin')]}{mixin.__name__.replace('Mixin', '')}"
    return type(name, (mixin, pool, *bases), {"executor_type": Executor, "__module__": __name__})


def cases():
    everything = (suite.InitializerMixin, suite.FailingInitializerMixin, suite.ProcessPoolShutdownTest,
                  suite.WaitTests, suite.AsCompletedTests, suite.ProcessPoolExecutorTest, suite.ExecutorDeadlockTest)
    found = [case(mixin, suite.ProcessPoolForkMixin) for mixin in everything]
    # What does not take its time by sleeping, again with workers that are no copies of the driver.
    for pool in (suite.ProcessPoolSpawnMixin, suite.ProcessPoolForkserverMixin):
        found += [case(mixin, pool) for mixin in (suite.InitializerMixin, suite.FailingInitializerMixin,
                                                  suite.ProcessPoolShutdownTest, suite.ProcessPoolExecutorTest,
                                                  suite.ExecutorDeadlockTest)]
    if hasattr(suite, "FailingInitializerResourcesTest"):
        # It finds the tests to run by their names.
        for name, pool in (("Spawn", suite.ProcessPoolSpawnMixin), ("Forkserver", suite.ProcessPoolForkserverMixin)):
            cpython.replace(suite, f"ProcessPool{name}FailingInitializerTest", case(suite.FailingInitializerMixin, pool))
        found.append(suite.FailingInitializerResourcesTest)
    return [*found, suite.FutureTests]


if __name__ == "__main__":
    concurrent.futures.ProcessPoolExecutor = ByName
    cpython.replace(suite, "assert_python_ok", assert_python_ok)
    suite.setUpModule()
    conformance.run("executor", cases(), at_least=140)
