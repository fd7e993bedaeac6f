"""Pools inside of tasks: what they share, and that nothing waits for itself."""

import os
import signal
import time
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

executor_here = None  # a global that tasks may find


def increment(value):
    return value + 1


def pid_after(seconds, _=None):
    time.sleep(seconds)
    return os.getpid()


def pids_below(count):
    """The workers of the default pool of this worker."""
    return os.getpid(), {pid for pid in pyhost.starmap(pid_after, [(0.05, i) for i in range(count)])}


def pids_of_own_pool(workers):
    with pyhost.Executor(workers) as executor:
        barrier = [executor.submit(pid_after, 0.3) for _ in range(2 * workers)]
        return len({future.result(timeout=30) for future in barrier})


def start_and_hang(path):
    pid = pyhost.submit(os.getpid).result(timeout=30)
    left = pyhost.submit(time.sleep, 60)
    with open(path, "w") as file:
        file.write(str(pid))
    os.rename(path, path + ".there")
    left.result()


def depth(levels):
    return 0 if levels == 0 else 1 + pyhost.submit(depth, levels - 1).result(timeout=30)


def by_the_global(value):
    return executor_here.submit(increment, value).result(timeout=30)


@for_each_start
class Nested(WithExecutor):
    def refusal(self, function, *args):
        """What a call says that would have waited for its own pool."""
        error = self.executor.submit(function, *args).exception(timeout=30)
        self.assertIsInstance(error, (pyhost.MarshalError, RuntimeError))
        return str(error)

    def test_workers_with_pools_of_their_own_add_one_process_each(self):
        found = [future.result(timeout=60) for future in [self.executor.submit(pids_below, 8) for _ in range(4)]]

        outer, inner = {pid for pid, _ in found}, {pid for _, pids in found for pid in pids}
        self.assertLessEqual(len(inner), len(outer))
        self.assertEqual(outer & inner, set())

    def test_explicit_numbers_of_workers_are_obeyed(self):
        self.assertEqual(self.call(pids_of_own_pool, 2), 2)

    def test_a_function_may_call_itself_on_the_default_pool(self):
        self.assertEqual(self.call(depth, 3), 3)

    def test_nested_pools_end_with_the_worker_that_has_them(self):
        path = str(self.script("", name="pid"))
        future = self.executor.submit(start_and_hang, path)
        deadline = time.monotonic() + 30
        while not os.path.exists(path + ".there"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        with open(path + ".there") as file:
            inner = int(file.read())

        future.cancel(force=True)
        self.executor.shutdown()

        while os.path.exists(f"/proc/{inner}"):
            self.assertLess(time.monotonic(), deadline, "an orphan")
            time.sleep(0.01)

    def test_the_pool_of_the_caller_is_refused_however_a_task_finds_it(self):
        global executor_here
        executor = self.executor
        limited = executor.options(timeout=20)
        executor_here = executor
        self.addCleanup(globals().__setitem__, "executor_here", None)

        ways = [self.refusal(by_the_global, 1),
                self.refusal(lambda value: executor.submit(increment, value).result(), 1),
                self.refusal(lambda value: limited.submit(increment, value).result(), 1),
                self.refusal(repr, executor),
                self.refusal(executor.submit, increment, 1)]

        for way in ways:
            self.assert_says(way, "use `pyhost.submit` and `pyhost.map`", "make a")
        for way in ways[1:]:
            self.assert_says(way, "a pool stays in the process that made it")

    def test_a_future_is_refused_as_an_argument(self):
        self.assert_says(self.refusal(repr, self.executor.submit(increment, 1)), "send its result")

    def test_a_pool_is_refused_like_an_executor(self):
        with pyhost.Pool(1, start=self.start_method) as pool:
            with self.assertRaises(pyhost.MarshalError) as caught:
                pool.apply(repr, (pool,))
        self.assert_says(str(caught.exception), "cannot send `Pool`", "use `pyhost.submit` and `pyhost.map`")


class AllGone(DriverCase):
    def test_killing_the_driver_takes_nested_pools_with_it(self):
        process = self.start_python("\n".join([
            "import os, time, pyhost",
            "def inner():",
            "    print(os.getpid(), flush=True)",
            "    time.sleep(60)",
            "def outer():",
            "    print(os.getpid(), flush=True)",
            "    pyhost.submit(inner).result()",
            "pyhost.submit(outer).result()"]))
        pids = [int(process.stdout.readline()) for _ in range(2)]

        process.send_signal(signal.SIGKILL)
        process.wait()

        deadline = time.monotonic() + 30
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            self.assertLess(time.monotonic(), deadline, "orphans")
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main(verbosity=2)
