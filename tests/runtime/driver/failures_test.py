"""Workers that die, hang or are told to stop: one task each, never the pool."""

import concurrent.futures
import os
import signal
import sys
import time
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost


def echo(value):
    return value


def kill_self(value=None):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_quietly():
    os._exit(0)


def kill_if_seven(value):
    if value == 7:
        kill_self()
    return value


def never_return():
    while True:
        pass


def wait_for(path, value):
    while not os.path.exists(path):
        time.sleep(0.001)
    return value


def touch_and_never_return(path):
    open(path, "w").close()
    never_return()


@for_each_start
class Deaths(WithExecutor):
    def test_a_killed_worker_fails_its_task_alone(self):
        doomed = self.executor.submit(kill_self)
        others = [self.executor.submit(echo, i) for i in range(50)]

        error = doomed.exception(timeout=30)
        self.assertIs(type(error), pyhost.WorkerCrashed)
        self.assertIsInstance(error, concurrent.futures.process.BrokenProcessPool)
        self.assertEqual(error.signal, signal.SIGKILL)
        self.assert_says(str(error), "SIGKILL", "`kill_self`")
        self.assertEqual([future.result(timeout=30) for future in others], list(range(50)))

    def test_a_quiet_exit_is_never_a_success(self):
        error = self.executor.submit(exit_quietly).exception(timeout=30)

        self.assertIs(type(error), pyhost.WorkerCrashed)
        self.assertEqual(error.exit_code, 0)

    def test_a_death_within_a_map_comes_at_its_place(self):
        results = self.executor.map(kill_if_seven, range(1000), chunksize=100)

        self.assertEqual([next(results) for _ in range(7)], list(range(7)))
        self.assertRaises(pyhost.WorkerCrashed, next, results)
        self.assertEqual(self.call(echo, 1), 1)

    def test_many_deaths_lose_only_their_own_tasks(self):
        futures = [self.executor.submit(kill_if_seven, i % 20) for i in range(100)]

        for i, future in enumerate(futures):
            if i % 20 == 7:
                self.assertIsInstance(future.exception(timeout=60), pyhost.WorkerCrashed)
            else:
                self.assertEqual(future.result(timeout=60), i % 20)


    def test_a_dead_zygote_is_replaced(self):
        for _ in range(3):
            os.kill(self.call(os.getppid), signal.SIGKILL)
            # Busy with the interpreter and the engine, while the engine wants the interpreter for a new snapshot.
            futures = [self.executor.submit(abs, i) for i in range(200)]
            for future in futures:
                self.assertIsInstance(future.exception(timeout=30), (type(None), pyhost.WorkerCrashed))
            self.assertEqual(self.call(echo, 1), 1)

    def test_calls_of_a_dropped_executor_are_finished(self):
        executor = pyhost.Executor(1, start=self.start_method)
        futures = [executor.submit(echo, i) for i in range(100)]
        del executor

        self.assertEqual([future.result(timeout=30) for future in futures], list(range(100)))


@for_each_start
class Limits(WithExecutor):
    timeout = 0.2

    def test_a_task_over_its_time_fails_alone(self):
        stuck = self.executor.submit(never_return)
        others = [self.executor.submit(echo, i) for i in range(10)]

        error = stuck.exception(timeout=30)
        self.assertIs(type(error), pyhost.TaskTimeout)
        self.assertIsInstance(error, TimeoutError)
        self.assertEqual([future.result(timeout=30) for future in others], list(range(10)))


@for_each_start
class Cancelling(WithExecutor):
    workers = 1

    def occupy(self):
        path = self.folder / "started"
        future = self.executor.submit(touch_and_never_return, str(path))
        deadline = time.monotonic() + 20
        while not path.exists():
            self.assertLess(time.monotonic(), deadline, "the worker never started")
        self.addCleanup(future.cancel, force=True)
        return future

    def test_a_queued_task_is_revoked(self):
        self.occupy()
        queued = self.executor.submit(echo, 1)

        self.assertTrue(queued.cancel())
        self.assertTrue(queued.cancelled() and queued.done())
        self.assertRaises(concurrent.futures.CancelledError, queued.result)
        self.assertRaises(concurrent.futures.CancelledError, queued.exception)

    def test_a_running_task_is_cancelled_by_force_alone(self):
        running = self.occupy()

        self.assertFalse(running.cancel())
        self.assertTrue(running.running())
        self.assertTrue(running.cancel(force=True))
        self.assertRaises(concurrent.futures.CancelledError, running.result, 30)
        self.assertEqual(self.call(echo, 1), 1)

    def test_a_settled_task_is_not_cancelled(self):
        future = self.executor.submit(echo, 1)
        future.result(timeout=30)

        self.assertFalse(future.cancel())
        self.assertEqual(future.result(), 1)

    def test_shutdown_can_cancel_what_is_queued(self):
        running = self.occupy()
        queued = [self.executor.submit(echo, i) for i in range(100)]
        self.executor.shutdown(wait=False, cancel_futures=True)

        self.assertTrue(all(future.cancelled() for future in queued))
        self.assertTrue(running.cancel(force=True))

    def test_shutdown_right_after_submit_leaves_each_worker_a_call(self):
        gate = self.folder / "gate"
        mine = pyhost.Executor(2, start=self.start_method)
        self.addCleanup(mine.shutdown)
        self.addCleanup(gate.touch)
        futures = [mine.submit(wait_for, str(gate), i) for i in range(100)]
        mine.shutdown(wait=False, cancel_futures=True)

        self.assertEqual([future.cancelled() for future in futures], [False] * 2 + [True] * 98)
        gate.touch()
        self.assertEqual([future.result(timeout=30) for future in futures[:2]], [0, 1])

    def test_shutdown_cancels_what_waits_of_a_map(self):
        running = self.occupy()
        results = self.executor.map(echo, range(1000))
        self.executor.shutdown(wait=False, cancel_futures=True)

        self.assertTrue(running.cancel(force=True))
        self.assertRaises(concurrent.futures.CancelledError, list, results)

    def test_leaving_a_map_cancels_the_rest(self):
        results = self.executor.map(touch_and_never_return, [str(self.folder / str(i)) for i in range(3)])
        results.close()
        self.executor._engine.close(kill=True)

        self.assertLessEqual(len(list(self.folder.iterdir())), 1)


class Refusals(DriverCase):
    def test_a_pool_that_was_shut_down_accepts_nothing(self):
        executor = pyhost.Executor(1)
        self.assertEqual(executor.submit(echo, 1).result(timeout=30), 1)
        executor.shutdown()

        self.assertRaisesRegex(RuntimeError, "after shutdown", executor.submit, echo, 1)
        executor.shutdown()

    def test_an_interpreter_that_is_not_there_is_a_startup_error(self):
        self.addCleanup(setattr, sys, "executable", sys.executable)
        sys.executable = "/nonexistent/python"
        with pyhost.Executor(1, start="zygote") as executor:
            self.assertRaisesRegex(pyhost.StartupError, "/nonexistent/python", executor.submit, echo, 1)

    def test_wrong_settings_are_refused_with_the_value(self):
        self.assertRaisesRegex(ValueError, "max_workers must be greater than 0; it is 0", pyhost.Executor, 0)
        self.assertRaisesRegex(ValueError, "`thread`; expected one of", pyhost.Executor, start="thread")
        self.assertRaisesRegex(TypeError, "callable", pyhost.Executor, initializer=3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
