"""Pools that break as those of the standard library, and what ends workers from outside."""

import concurrent.futures
import os
import pathlib
import signal
import time
import unittest
from concurrent.futures.process import BrokenProcessPool

from driver_case import DriverCase, for_each_start, pyhost


def echo(value=None):
    return value


def touch(path):
    pathlib.Path(path).touch()


def touch_and_sleep(path):
    touch(path)
    time.sleep(1000)


def never_stop():
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def kill_self(_=None):
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise LookupError("no such table")


class Case:
    def executor(self, workers=1, **options):
        executor = pyhost.Executor(workers, start=self.start_method, **options)
        self.addCleanup(executor.shutdown)
        return executor

    def paths(self, count):
        return [str(self.folder / str(i)) for i in range(count)]

    def await_files(self, paths):
        deadline = time.monotonic() + 30
        while not all(map(os.path.exists, paths)):
            self.assertLess(time.monotonic(), deadline, "the calls did not run")
            time.sleep(0.001)

    def occupied(self, executor, calls):
        """Futures of so many calls that end by force alone, of which the first one runs."""
        paths = self.paths(calls)
        futures = [executor.submit(touch_and_sleep, path) for path in paths]
        self.await_files(paths[:1])
        return futures


@for_each_start
class Breaking(Case):
    def test_a_worker_that_dies_fails_all_calls_without_an_outcome(self):
        executor = self.executor(2, on_crash="pool")
        settled = executor.submit(echo, 1)
        self.assertEqual(settled.result(timeout=30), 1)
        self.assertIs(executor._broken, False)
        waiting = self.occupied(executor, 6)

        os.kill(next(iter(executor._processes)), signal.SIGKILL)

        for future in waiting:
            self.assertIsInstance(future.exception(timeout=30), BrokenProcessPool)
        self.assertEqual(settled.result(), 1)
        self.assert_says(executor._broken, "SIGKILL", "broke the pool", "start a new one")

    def test_a_broken_pool_accepts_nothing_and_is_shut_down_as_ever(self):
        executor = self.executor(2, on_crash="pool")
        self.assertIsInstance(executor.submit(kill_self).exception(timeout=30), BrokenProcessPool)

        self.assertRaises(BrokenProcessPool, executor.submit, echo)
        self.assertRaises(BrokenProcessPool, lambda: list(executor.map(echo, [1])))
        executor.shutdown()
        self.assertTrue(executor._broken)
        self.assertEqual(executor._processes, {})

    def test_a_map_that_is_being_read_breaks_too(self):
        executor = self.executor(2, on_crash="pool")
        results = executor.map(kill_self, range(4))

        self.assertRaises(BrokenProcessPool, list, results)

    def test_waiting_for_many_ends(self):
        executor = self.executor(2, on_crash="pool")
        futures = [executor.submit(kill_self if i == 20 else echo, i) for i in range(200)]

        done, rest = concurrent.futures.wait(futures, timeout=30)

        self.assertFalse(rest)
        self.assertIsInstance(futures[20].exception(), BrokenProcessPool)

    def test_an_initializer_that_raises_breaks_it(self):
        executor = self.executor(2, on_crash="pool", initializer=fail)
        future = executor.submit(echo)

        self.assertIsInstance(future.exception(timeout=30), BrokenProcessPool)
        self.assertRaises(BrokenProcessPool, executor.submit, echo)

    def test_what_the_pool_kills_itself_breaks_nothing(self):
        executor = self.executor(1, on_crash="pool", timeout=0.2, grace=0.1)

        self.assertIsInstance(executor.submit(never_stop).exception(timeout=30), pyhost.TaskTimeout)

        self.assertEqual(executor.submit(echo, 1).result(timeout=30), 1)
        self.assertIs(executor._broken, False)

    def test_a_multiprocessing_pool_breaks_too(self):
        pool = pyhost.Pool(1, start=self.start_method, on_crash="pool")
        with pool:
            doomed = pool.apply_async(kill_self)
            queued = [pool.apply_async(echo, (i,)) for i in range(5)]

            for result in (doomed, *queued):
                self.assertRaises(BrokenProcessPool, result.get, 30)
            self.assertRaises(BrokenProcessPool, pool.map, echo, [1])
        pool.join()


@for_each_start
class Ending(Case):
    def check(self, end, number):
        executor = self.executor()
        running, *queued = self.occupied(executor, 4)
        processes = list(executor._processes.values())

        end(executor)

        error = running.exception(timeout=30)
        self.assertIs(type(error), pyhost.WorkerCrashed)
        self.assertEqual(error.signal, number)
        self.assertTrue(all(future.cancelled() for future in queued))
        self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown", executor.submit, echo)
        for process in processes:
            process.join(30)
            self.assertEqual((process.is_alive(), process.exitcode), (False, -number))

    def test_terminate_workers_ends_what_runs_and_cancels_the_rest(self):
        self.check(pyhost.Executor.terminate_workers, signal.SIGTERM)

    def test_kill_workers_ends_what_runs_and_cancels_the_rest(self):
        self.check(pyhost.Executor.kill_workers, signal.SIGKILL)

    def test_an_executor_that_has_no_workers_yet_is_only_shut_down(self):
        for end in (pyhost.Executor.terminate_workers, pyhost.Executor.kill_workers):
            executor = self.executor()
            end(executor)

            self.assertRaises(RuntimeError, executor.submit, echo)
            self.assertEqual(executor._processes, {})


@for_each_start
class Processes(Case):
    def test_they_are_the_workers_by_pid(self):
        executor = self.executor(2)
        executor.submit(echo).result(timeout=30)

        processes = executor._processes

        self.assertEqual(sorted(processes), sorted(executor.broadcast(os.getpid)))
        for pid, process in processes.items():
            self.assertEqual((process.pid, process.ident, process.exitcode), (pid, pid, None))
            self.assertTrue(process.is_alive())
            process.join(0)  # gives up at once
            self.assertIn(f"pid={pid} started", repr(process))
            self.assertIs(executor._processes[pid], process)

    def test_their_names_are_those_they_have_themselves(self):
        executor = self.executor(2)
        executor.submit(echo).result(timeout=30)

        names = {pid: process.name for pid, process in executor._processes.items()}

        self.assertEqual(names, dict(executor.broadcast(own_name)))
        self.assertEqual(len(set(names.values())), 2)

    def test_one_that_is_ended_is_replaced_and_says_how_it_ended(self):
        executor = self.executor()
        executor.submit(echo).result(timeout=30)

        for end, status in (("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)):
            (process,) = executor._processes.values()
            getattr(process, end)()
            process.join(30)

            self.assertEqual((process.is_alive(), process.exitcode), (False, status))
            getattr(process, end)()  # of one that has ended: nothing
            self.assertNotIn(process.pid, executor._processes)
            self.assertEqual(executor.submit(echo, 1).result(timeout=30), 1)

    def test_they_outlive_the_pool(self):
        executor = self.executor()
        executor.submit(echo).result(timeout=30)
        (process,) = executor._processes.values()

        executor.shutdown()

        self.assertEqual((process.is_alive(), process.exitcode), (False, 0))
        self.assertIn("stopped", repr(process))

    def test_a_multiprocessing_pool_lists_them_before_and_after_its_end(self):
        with pyhost.Pool(2, start=self.start_method) as pool:
            listed = pool._pool
            self.assertEqual({process.pid: process.name for process in listed},
                             {process.pid: f"pyhost-worker-{i}" for i, process in enumerate(listed)})
            names = dict(pool.map(own_name, range(20)))
            self.assertLessEqual(set(names.items()), {(process.pid, process.name) for process in listed})
        pool.join()

        self.assertEqual([process.exitcode is None for process in pool._pool], [False, False])


def own_name(_=None):
    import multiprocessing
    return os.getpid(), multiprocessing.current_process().name


@for_each_start
class EagerMaps(Case):
    def test_a_map_runs_without_being_read(self):
        paths = self.paths(20)

        results = self.executor().map(touch, iter(paths))

        self.await_files(paths)
        self.assertEqual(list(results), [None] * 20)

    def test_shutdown_waits_for_a_map_that_nobody_reads(self):
        paths = self.paths(20)
        with self.executor() as executor:
            results = executor.map(touch, iter(paths))

        self.assertTrue(all(map(os.path.exists, paths)))
        self.assertEqual(list(results), [None] * 20)

    def test_an_exception_of_the_input_is_raised_by_map_itself(self):
        def broken_input():
            yield 1
            raise LookupError("row 2")

        executor = self.executor()

        self.assertRaisesRegex(LookupError, "row 2", executor.map, echo, broken_input())
        self.assertEqual(executor.submit(echo, 1).result(timeout=30), 1)

    def test_with_a_buffersize_the_input_is_read_as_results_are(self):
        taken = []

        def endless():
            while True:
                taken.append(None)
                yield len(taken)

        results = self.executor().map(echo, endless(), buffersize=3)

        self.assertEqual([next(results) for _ in range(10)], list(range(1, 11)))
        self.assertLessEqual(len(taken), 10 + 3)
        results.close()


class Refusals(DriverCase):
    def test_on_crash_is_task_or_pool(self):
        for make in (pyhost.Executor, pyhost.Pool):
            with self.assertRaisesRegex(ValueError, "`process`"):
                make(1, on_crash="process")


if __name__ == "__main__":
    unittest.main()
