"""What futures tell of their calls: how they went, what they printed, whether they run."""

import asyncio
import concurrent.futures
import os
import signal
import sys
import threading
import time
import unittest

from driver_case import WithExecutor, for_each_start, pyhost


def echo(value):
    return value


def hold(size):
    return len(bytearray(b"x") * size)


def where():
    return pyhost.current_worker().id


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_the_zygote():
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def fail_until(path, times):
    with open(path, "a+") as file:
        file.write("x")
        file.seek(0)
        if len(file.read()) < times:
            raise OSError("not yet")


def say(text, value=None):
    print(text)
    return value


def say_and_fail(text):
    print(text)
    raise LookupError(text)


def say_and_fail_unsendably(text):
    print(text)
    raise LookupError(threading.Lock())


def say_and_return_a_lock():
    print("lost")
    return threading.Lock()


def say_everywhere():
    sys.stdout.write("text ")
    sys.stdout.buffer.write(b"bytes \xff ")
    thread = threading.Thread(target=print, args=("thread \u00e9\ud800",))
    thread.start()
    thread.join()


def say_together(barrier_path, name):
    """Prints between two moments in which another call does, too."""
    for step in range(3):
        print(name, step)
        open(f"{barrier_path}-{name}-{step}", "w").close()
        deadline = time.monotonic() + 30
        while not all(os.path.exists(f"{barrier_path}-{other}-{step}") for other in "ab"):
            assert time.monotonic() < deadline
            time.sleep(0.001)


async def say_in_turns(name):
    for step in range(3):
        print(name, step)
        await asyncio.sleep(0.001)
    return name


class Speaker:
    def __init__(self, text):
        self.text = text

    def say(self):
        print(self.text)
        return self

    async def say_later(self):
        await asyncio.sleep(0)
        print(self.text)


def is_stdout_its_own():
    return sys.stdout is sys.__stdout__


class Late:
    """Rebuilt in the driver by looking at the future it came with."""

    def __reduce__(self):
        return describe_it, ()


described = []


def describe_it():
    described.append(repr(described[0]))
    return Late()


@for_each_start
class Stats(WithExecutor):
    def test_are_none_until_the_call_is_done(self):
        stuck = self.executor.submit(time.sleep, 1000)

        self.assertIsNone(stuck.stats)
        stuck.cancel(force=True)
        concurrent.futures.wait([stuck], 30)
        self.assertIsNotNone(stuck.stats)

    def test_say_when_where_and_how_long_it_ran(self):
        self.call(echo, 1)
        before = time.monotonic()
        future = self.executor.submit(time.sleep, 0.1)
        future.result(timeout=30)
        after = time.monotonic()

        stats = future.stats
        self.assertLessEqual(before, stats.started)
        self.assertLessEqual(0.1, stats.seconds)
        self.assertLessEqual(stats.started + stats.seconds, after + 1e-6)
        self.assertLessEqual(0, stats.queued)
        self.assertLessEqual(before + stats.queued, stats.started + 1e-6)
        self.assertEqual(stats.attempts, 1)
        self.assertIn(stats.worker, (0, 1))

    def test_are_there_before_and_after_the_result_was_read(self):
        future = self.executor.submit(where)
        concurrent.futures.wait([future], 30)
        unread = future.stats

        self.assertEqual(future.result(), unread.worker)
        self.executor.shutdown()
        self.assertEqual(future.stats, unread)

    def test_time_in_the_queue_is_not_time_of_the_call(self):
        blockers = [self.executor.submit(time.sleep, 0.2) for _ in range(2)]
        future = self.executor.submit(echo, 1)
        future.result(timeout=30)

        self.assertGreater(future.stats.queued, 0.1)
        self.assertGreaterEqual(future.stats.started, min(b.stats.started for b in blockers if b.done()) + 0.19)

    def test_peak_memory_is_that_of_the_worker(self):
        first = self.executor.submit(hold, 64 << 20)
        first.result(timeout=30)

        self.assertGreater(first.stats.peak_memory, 64 << 20)
        self.assertLess(first.stats.peak_memory, 64 << 30)

    def test_of_a_call_that_raised(self):
        future = self.executor.submit(int, "x")

        self.assertIsInstance(future.exception(timeout=30), ValueError)
        self.assertIsNotNone(future.stats.started)
        self.assertEqual(future.stats.attempts, 1)

    def test_of_a_worker_that_died(self):
        future = self.executor.submit(die)
        error = future.exception(timeout=30)

        self.assertEqual(future.stats.worker, error.worker)
        self.assertAlmostEqual(future.stats.seconds, error.seconds, places=3)
        self.assertEqual(future.stats.peak_memory, error.peak_memory)

    def test_peak_memory_of_a_worker_that_died_unobserved_is_not_known(self):
        future = self.executor.submit(die_with_the_zygote)

        self.assertIsInstance(future.exception(timeout=30), pyhost.WorkerCrashed)
        self.assertIsNone(future.stats.peak_memory)
        self.assertEqual(future.stats.attempts, 1)

    def test_of_a_call_that_was_stopped(self):
        future = self.executor.options(timeout=0.2).submit(time.sleep, 1000)

        self.assertIsInstance(future.exception(timeout=30), pyhost.TaskTimeout)
        self.assertGreaterEqual(future.stats.seconds, 0.19)
        self.assertIn(future.stats.worker, (0, 1))

    def test_count_every_attempt(self):
        path = str(self.folder / "attempts")
        future = self.executor.options(retries=5).submit(fail_until, path, 3)

        self.assertIsNone(future.result(timeout=30))
        self.assertEqual(future.stats.attempts, 3)

    def test_of_what_never_started(self):
        unsendable = self.executor.submit(echo, threading.Lock())
        blockers = [self.executor.submit(time.sleep, 0.3) for _ in range(2)]
        before = time.monotonic()
        cancelled = self.executor.submit(echo, 1)
        submitted = time.monotonic()
        self.assertIsInstance(unsendable.exception(), pyhost.MarshalError)
        until = time.monotonic()
        self.assertTrue(cancelled.cancel())
        after = time.monotonic()

        for future in unsendable, cancelled:
            self.assertEqual(future.stats[1:], (None, 0.0, None, None, 0))
            self.assertGreaterEqual(future.stats.queued, 0)
        self.assertLessEqual(until - submitted, cancelled.stats.queued)
        self.assertLessEqual(cancelled.stats.queued, after - before)
        concurrent.futures.wait(blockers)

    def test_with_several_calls_in_flight(self):
        with pyhost.Executor(1, start=self.start_method, concurrency=2) as executor:
            future = executor.submit(time.sleep, 0.1)
            future.result(timeout=30)

        self.assertGreaterEqual(future.stats.seconds, 0.1)
        self.assertGreater(future.stats.peak_memory, 2**20)


@for_each_start
class Running(WithExecutor):
    def until(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)

    def test_is_true_from_the_start_to_the_outcome(self):
        with pyhost.Executor(1, start=self.start_method) as executor:
            stuck, queued = executor.submit(time.sleep, 1000), executor.submit(echo, 1)
            self.until(stuck.running)

            self.assertFalse(queued.running())
            self.assertIn("state=running", repr(stuck))
            self.assertIn("state=pending", repr(queued))
            stuck.cancel(force=True)
            self.assertEqual(queued.result(timeout=30), 1)
            self.assertFalse(stuck.running())
            self.assertIn("state=cancelled", repr(stuck))

    def test_is_known_with_several_calls_in_flight(self):
        with pyhost.Executor(1, start=self.start_method, concurrency=2) as executor:
            stuck = [executor.submit(asyncio.sleep, 1000) for _ in range(2)]
            self.until(lambda: all(future.running() for future in stuck))
            for future in stuck:
                future.cancel(force=True)

    def test_is_known_while_the_pool_shuts_down(self):
        executor = pyhost.Executor(1, start=self.start_method)
        stuck = executor.submit(time.sleep, 1000)
        self.until(stuck.running)
        executor.shutdown(wait=False)

        self.assertTrue(stuck.running())
        stuck.cancel(force=True)
        concurrent.futures.wait([stuck], 30)
        self.assertFalse(stuck.running())

    def test_what_is_finished_says_with_what(self):
        returned, raised = self.executor.submit(echo, 1), self.executor.submit(int, "x")
        concurrent.futures.wait([returned, raised], 30)

        self.assertIn("state=finished returned int>", repr(returned))
        self.assertIn("state=finished raised ValueError>", repr(raised))

    def test_a_future_can_be_looked_at_while_its_result_is_rebuilt(self):
        future = self.executor.submit(Late)
        described[:] = [future]
        future.result(timeout=30)

        self.assertIn("state=finished>", described[1])
        described.clear()


@for_each_start
class Stdout(WithExecutor):
    def setUp(self):
        super().setUp()
        self.captured = self.executor.options(capture=True)

    def outcome(self, future):
        concurrent.futures.wait([future], 30)
        return future

    def test_is_none_where_it_was_not_asked_for(self):
        self.assertIsNone(self.outcome(self.executor.submit(echo, 1)).stdout)

    def test_is_what_the_call_printed(self):
        future = self.captured.submit(say, "four", value=4)

        self.assertEqual(future.result(timeout=30), 4)
        self.assertEqual(future.stdout, "four\n")
        self.assertIsInstance(future, pyhost.Future)
        self.assertEqual(self.outcome(self.captured.submit(echo, (1, 2))).stdout, "")
        self.assertIn("returned int", repr(future))

    def test_stays_asked_for_when_limits_are_added(self):
        future = self.outcome(self.captured.options(timeout=20).submit(say, "four"))

        self.assertEqual(future.stdout, "four\n")

    def test_is_there_when_the_call_raised(self):
        future = self.outcome(self.captured.submit(say_and_fail, "four"))

        self.assertEqual(future.stdout, "four\n")
        self.assertEqual(repr(future.exception()), "LookupError('four')")
        self.assertNotIn("_capturing", str(future.exception().__cause__))

    def test_is_there_when_the_exception_cannot_be_sent(self):
        future = self.outcome(self.captured.submit(say_and_fail_unsendably, "four"))

        self.assertIsInstance(future.exception(), pyhost.RemoteError)
        self.assertEqual(future.stdout, "four\n")

    def test_is_none_when_nobody_could_send_it(self):
        self.assertIsNone(self.outcome(self.captured.submit(die)).stdout)
        future = self.outcome(self.captured.submit(say_and_return_a_lock))
        self.assertIsInstance(future.exception(), pyhost.MarshalError)
        self.assertIsNone(future.stdout)

    def test_is_none_of_a_call_without_outcome(self):
        stuck = self.captured.submit(time.sleep, 1000)
        self.assertIsNone(stuck.stdout)
        stuck.cancel(force=True)
        self.assertIsNone(self.outcome(stuck).stdout)

    def test_holds_bytes_and_what_threads_of_the_call_print(self):
        future = self.outcome(self.captured.submit(say_everywhere))

        self.assertIsNone(future.exception())
        self.assertEqual(future.stdout, "text bytes \\xff thread \u00e9\\ud800\n")

    def test_of_methods_lambdas_closures_and_coroutines(self):
        text = "four"
        for future in (self.captured.submit(Speaker("four").say), self.captured.submit(lambda: print("four")),
                       self.captured.submit(lambda: print(text)), self.captured.submit(Speaker("four").say_later)):
            self.assertIsNone(self.outcome(future).exception())
            self.assertEqual(future.stdout, "four\n")
        future = self.outcome(self.captured.submit(say_in_turns, "a"))
        self.assertEqual((future.result(), future.stdout), ("a", "a 0\na 1\na 2\n"))

    def test_the_worker_has_its_own_again_afterwards(self):
        with pyhost.Executor(1, start=self.start_method, capture=True) as executor:
            self.assertEqual(self.outcome(executor.submit(say_and_fail, "x")).stdout, "x\n")
            self.assertFalse(executor.submit(is_stdout_its_own).result(timeout=30))
            self.assertTrue(executor.options(capture=False).submit(is_stdout_its_own).result(timeout=30))

    def test_the_worker_has_its_own_again_after_a_call_was_stopped(self):
        with pyhost.Executor(1, start=self.start_method, capture=True, timeout=0.1) as executor:
            stopped = self.outcome(executor.submit(time.sleep, 1000))
            self.assertIsInstance(stopped.exception(), pyhost.TaskTimeout)
            self.assertIsNone(stopped.stdout)
            self.assertTrue(executor.options(capture=False).submit(is_stdout_its_own).result(timeout=30))

    def test_attempts_that_failed_say_nothing(self):
        path = str(self.folder / "attempts")
        future = self.executor.options(retries=5, capture=True).submit(fail_until, path, 3)

        self.assertIsNone(future.result(timeout=30))
        self.assertEqual((future.stdout, future.stats.attempts), ("", 3))

    def test_stays_apart_for_calls_in_threads_of_one_worker(self):
        path = str(self.folder / "step")
        with pyhost.Executor(1, start=self.start_method, concurrency=2, capture=True) as executor:
            futures = {name: executor.submit(say_together, path, name) for name in "ab"}
            for name, future in futures.items():
                self.assertIsNone(future.result(timeout=60))
                self.assertEqual(future.stdout, f"{name} 0\n{name} 1\n{name} 2\n")

    def test_stays_apart_for_coroutines_of_one_worker(self):
        with pyhost.Executor(1, start=self.start_method, concurrency=4, capture=True) as executor:
            futures = {name: executor.submit(say_in_turns, name) for name in "abcd"}
            for name, future in futures.items():
                self.assertEqual(future.result(timeout=60), name)
                self.assertEqual(future.stdout, f"{name} 0\n{name} 1\n{name} 2\n")

    def test_maps_have_no_place_for_it_and_say_so(self):
        with pyhost.Executor(1, start=self.start_method, capture=True) as executor:
            for pool in (self.captured, executor):
                for name in ("map", "starmap"):
                    with self.assertRaisesRegex(ValueError, f"`{name}` have no `stdout`.*options.capture=False..{name}"):
                        getattr(pool, name)(echo, [(1,)])
                with self.assertRaisesRegex(ValueError, "`map` have no `stdout`"):
                    pool._map_lazily(echo, [1])
            self.assertEqual(list(executor.options(capture=False).map(echo, [1])), [1])

    def test_what_is_captured_is_shown_nowhere_else(self):
        ended = self.run_python(
            "import subprocess, sys, pyhost\n"
            "def speak():\n"
            "    print('captured')\n"
            "    print('to stderr', file=sys.stderr)\n"
            "    subprocess.run(['echo', 'of a subprocess'], check=True)\n"
            f"with pyhost.Executor(1, start={self.start_method!r}, capture=True) as executor:\n"
            "    future = executor.submit(speak)\n"
            "    future.result(timeout=30)\n"
            "    print('%r' % future.stdout)\n")

        self.assertEqual(ended.status, 0, ended)
        self.assertEqual(sorted(ended.out.split("\n")), ["", "'captured\\n'", "of a subprocess"])
        self.assertIn("to stderr", ended.err)

    def test_reaches_asyncio_callbacks_and_the_default_pool(self):
        async def main(executor):
            return await pyhost.aio.run(say, "four", 4, executor=executor)

        self.assertEqual(asyncio.run(main(self.captured)), 4)
        seen = threading.Event()
        future = self.captured.submit(say, "four", 4)
        future.add_done_callback(lambda done: done.result() == 4 and done.stdout == "four\n" and seen.set())
        self.assertTrue(seen.wait(30))


if __name__ == "__main__":
    unittest.main(verbosity=2)
