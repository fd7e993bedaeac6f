"""What becomes of a call besides its result: every outcome, by the exception that tells of it."""

import concurrent.futures
import ctypes
import os
import pathlib
import pickle
import signal
import sys
import time
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

from pyhost import errors


def echo(value):
    return value


def divide(by):
    return 1 / by


def segfault(note=None):
    print("last words", file=sys.stderr, flush=True)
    ctypes.string_at(0)


def exit_with(status):
    os._exit(status)


def loop_softly(path):
    try:
        while True:
            pass
    except pyhost.TaskInterrupted:
        with open(path, "w") as file:
            file.write("cleaned up")
        raise


def loop_in_c():
    sum(range(10**12))  # holds the interpreter's lock, and looks at no signal


def ignore_interrupts():
    while True:
        try:
            while True:
                pass
        except pyhost.TaskInterrupted:
            pass


def wait_until_cancelled(path):
    worker = pyhost.current_worker()
    with open(path, "w") as file:
        file.write(f"{worker.id} {worker.pid}")
    try:
        while not worker.cancelled():
            time.sleep(0.001)
    except pyhost.TaskInterrupted:
        pass
    with open(path, "w") as file:
        file.write(f"cancelled: {worker.cancelled()}")


def allocate(size):
    return len(bytearray(size))


def unpicklable(value):
    return (value for _ in ())


def count_and(path, fails, how):
    """Fails the first `fails` times it runs."""
    with open(path, "a+b", buffering=0) as file:
        file.write(b"x")
        file.seek(0)
        runs = len(file.read())
    if runs > fails:
        return runs
    if how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        while True:
            pass
    raise {"value": ValueError, "lookup": KeyError}[how](f"run {runs}")


class WithFiles(WithExecutor):
    def setUp(self):
        super().setUp()
        self.path = str(self.folder / "note")

    def await_text(self, words, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            text = pathlib.Path(self.path).read_text() if os.path.exists(self.path) else ""
            if words in text:
                return text
            self.assertLess(time.monotonic(), deadline, f"{words!r} never came; the note is {text!r}")
            time.sleep(0.005)

    def failure(self, executor, function, *args):
        return executor.submit(function, *args).exception(timeout=60)


@for_each_start
class Outcomes(WithFiles):
    def test_an_exception_is_itself(self):
        self.assertIs(type(self.failure(self.executor, divide, 0)), ZeroDivisionError)

    def test_a_crash_says_what_killed_the_worker_and_where_it_was(self):
        error = self.failure(self.executor, segfault, "a note")

        self.assertIs(type(error), pyhost.WorkerCrashed)
        self.assertIsInstance(error, concurrent.futures.process.BrokenProcessPool)
        self.assertEqual((error.signal, error.exit_code, error.attempts), (signal.SIGSEGV, -1, 1))
        self.assertGreaterEqual(error.worker, 0)
        self.assertIn("segfault", error.call)
        self.assertIn("last words", error.stderr_tail)
        self.assertIn("in segfault", error.stack)
        self.assert_says(str(error), "SIGSEGV", "`segfault`", error.likely_cause)
        self.assertTrue(error.likely_cause)
        self.assertGreater(error.peak_memory, 2**20)
        self.assertGreaterEqual(error.seconds, 0)
        self.assertIn("in segfault", str(error.__cause__))

    def test_an_exit_says_its_status(self):
        error = self.failure(self.executor, exit_with, 3)

        self.assertIs(type(error), pyhost.WorkerCrashed)
        self.assertEqual((error.signal, error.exit_code), (0, 3))
        self.assertIn("os._exit", error.likely_cause)

    def test_a_timeout_lets_the_task_clean_up(self):
        error = self.failure(self.executor.options(timeout=0.2), loop_softly, self.path)

        self.assertIs(type(error), pyhost.TaskTimeout)
        self.assertIsInstance(error, TimeoutError)
        self.assertIn("loop_softly", error.call)
        self.assertGreaterEqual(error.seconds, 0.2)
        self.assertEqual(self.await_text("up"), "cleaned up")

    def test_a_timeout_ends_a_loop_in_c(self):
        error = self.failure(self.executor.options(timeout=0.2, grace=0.2), loop_in_c)

        self.assertIs(type(error), pyhost.TaskTimeout)
        self.assertEqual(self.call(echo, 1), 1)

    def test_a_timeout_ends_a_task_that_ignores_the_request(self):
        error = self.failure(self.executor.options(timeout=0.2, grace=0.2), ignore_interrupts)

        self.assertIs(type(error), pyhost.TaskTimeout)
        self.assert_says(str(error.__cause__) + error.stack, "ignore_interrupts")

    def test_a_cpu_limit_ends_a_busy_task(self):
        error = self.failure(self.executor.options(cpu=0.2, grace=0.2), loop_softly, self.path)

        self.assertIs(type(error), pyhost.TaskCpuError)
        self.assertEqual(self.call(echo, 1), 1)

    def test_a_value_that_cannot_cross_is_a_marshal_error(self):
        self.assertIsInstance(self.failure(self.executor, unpicklable, 1), pyhost.MarshalError)
        self.assertIsInstance(self.failure(self.executor, echo, (n for n in ())), pyhost.MarshalError)


@for_each_start
class Memory(WithFiles):
    def setUp(self):
        super().setUp()
        self.capped = pyhost.Executor(1, start=self.start_method, memory="256M")
        self.addCleanup(self.capped.shutdown)

    def test_a_task_over_the_memory_cap_fails_alone(self):
        error = self.failure(self.capped, allocate, 2**30)

        self.assertIs(type(error), pyhost.TaskMemoryError)
        self.assertIsInstance(error, MemoryError)
        self.assertEqual(self.capped.submit(allocate, 2**20).result(timeout=30), 2**20)

    def test_calls_with_a_cap_of_their_own_have_workers_of_their_own(self):
        limited = self.executor.options(memory="256M")

        self.assertIs(type(self.failure(limited, allocate, 2**30)), pyhost.TaskMemoryError)
        self.assertEqual(self.call(allocate, 2**29), 2**29)
        self.assertNotEqual(limited.submit(os.getpid).result(timeout=30), self.call(os.getpid))

    def test_a_cap_of_options_stays_when_limits_are_added(self):
        limited = self.executor.options(memory="256M").options(timeout=20)

        self.assertIs(type(self.failure(limited, allocate, 2**30)), pyhost.TaskMemoryError)


@for_each_start
class Retries(WithFiles):
    def test_a_call_runs_again_after_a_crash_a_limit_or_an_exception(self):
        for index, how in enumerate(("crash", "hang", "value")):
            limited = self.executor.options(retries=2, timeout=0.5, grace=0.2)
            path = f"{self.path}{index}"

            self.assertEqual(limited.submit(count_and, path, 2, how).result(timeout=60), 3, how)

    def test_nothing_runs_twice_unasked(self):
        self.assertIs(type(self.failure(self.executor, count_and, self.path, 1, "crash")), pyhost.WorkerCrashed)
        self.assertEqual(os.path.getsize(self.path), 1)

    def test_the_last_failure_counts_the_attempts(self):
        error = self.failure(self.executor.options(retries=1), count_and, self.path, 9, "crash")

        self.assertEqual((type(error), error.attempts), (pyhost.WorkerCrashed, 2))
        self.assertEqual(os.path.getsize(self.path), 2)

    def test_a_call_runs_again_only_for_what_is_named(self):
        limited = self.executor.options(retries=1, retry_on=LookupError)

        self.assertEqual(limited.submit(count_and, self.path, 1, "lookup").result(timeout=60), 2)
        self.assertIs(type(self.failure(limited, count_and, self.path + "2", 1, "value")), ValueError)
        self.assertIs(type(self.failure(limited, count_and, self.path + "3", 1, "crash")), pyhost.WorkerCrashed)

    def test_items_of_a_map_run_again(self):
        paths = [f"{self.path}{index}" for index in range(20)]
        results = self.executor.options(retries=1).map(count_and, paths, [i % 2 for i in range(20)],
                                                       ["crash" if i % 4 == 1 else "value" for i in range(20)])

        self.assertEqual(list(results), [1 + i % 2 for i in range(20)])


@for_each_start
class Forced(WithFiles):
    workers = 1

    def test_a_task_may_clean_up_when_it_is_cancelled(self):
        future = self.executor.submit(loop_softly, self.path)
        while self.executor._engine.stats()["in_flight"] == 0:
            time.sleep(0.005)
        self.assertTrue(future.cancel(force=True))

        self.assertRaises(concurrent.futures.CancelledError, future.result, 30)
        self.assertTrue(future.cancelled())
        self.assertEqual(self.call(echo, 1), 1)

    def test_those_who_wait_by_concurrent_futures_hear_of_it(self):
        future = self.executor.submit(loop_softly, self.path)
        called = []
        future.add_done_callback(called.append)
        while self.executor._engine.stats()["in_flight"] == 0:
            time.sleep(0.005)
        self.assertTrue(future.cancel(force=True))

        self.assertEqual(concurrent.futures.wait([future], timeout=30).done, {future})
        self.assertTrue(future.cancelled())
        self.assertEqual(called, [future])

    def test_a_task_can_ask_whether_it_is_cancelled(self):
        future = self.executor.submit(wait_until_cancelled, self.path)
        worker, pid = map(int, self.await_text(" ").split())
        self.assertEqual(worker, 0)
        self.assertNotEqual(pid, os.getpid())
        self.assertTrue(future.cancel(force=True))

        self.assertRaises(concurrent.futures.CancelledError, future.result, 30)
        self.assertEqual(self.await_text("cancelled: "), "cancelled: True")

    def test_a_cancelled_loop_in_c_is_killed_after_its_grace(self):
        future = self.executor.options(grace=0.1).submit(loop_in_c)
        while self.executor._engine.stats()["in_flight"] == 0:
            time.sleep(0.005)

        self.assertTrue(future.cancel(force=True))
        self.assertRaises(concurrent.futures.CancelledError, future.result, 30)
        self.assertEqual(self.call(echo, 1), 1)


class Descriptions(DriverCase):
    FIELDS = {"worker": 3, "signal": 9, "exit_code": -1, "stderr_tail": "tail", "stack": "File x", "call": "f(1)",
              "likely_cause": "killed by the kernel for memory", "seconds": 1.5, "peak_memory": 2**20, "attempts": 2}

    def test_failures_can_be_pickled_with_all_they_know(self):
        for cls in (pyhost.WorkerCrashed, pyhost.TaskTimeout, pyhost.TaskMemoryError, pyhost.TaskCpuError,
                    pyhost.StartupError, pyhost.ProtocolError):
            error = pickle.loads(pickle.dumps(cls("what happened", **self.FIELDS)))

            self.assertIs(type(error), cls)
            self.assertEqual({name: getattr(error, name) for name in self.FIELDS}, self.FIELDS)
            self.assertEqual(str(error), "what happened\n  killed by the kernel for memory")

    def test_failures_can_be_made_from_a_message_alone(self):
        self.assertEqual(str(pyhost.TaskTimeout("too long")), "too long")
        self.assertEqual(str(pyhost.WorkerCrashed()), "")
        self.assertEqual(pyhost.WorkerCrashed("gone", signal=9).signal, 9)

    def test_every_kind_of_the_host_has_its_exception(self):
        classes = {"crashed": pyhost.WorkerCrashed, "timeout": pyhost.TaskTimeout, "memory": pyhost.TaskMemoryError,
                   "cpu": pyhost.TaskCpuError, "marshal": pyhost.MarshalError, "startup": pyhost.StartupError,
                   "cancelled": concurrent.futures.CancelledError, "backpressure": pyhost.Backpressure,
                   "protocol": pyhost.ProtocolError, "violation": pyhost.SandboxViolation,
                   "sandbox_unavailable": pyhost.SandboxUnavailable}
        for kind, cls in classes.items():
            error = errors.from_failure(kind, "", {"message": "why", **self.FIELDS})

            self.assertIsInstance(error, cls, kind)
            self.assertIn("why", str(error))


if __name__ == "__main__":
    unittest.main(verbosity=2)
