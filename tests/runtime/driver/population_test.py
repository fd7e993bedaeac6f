"""Workers as a population: prepared, replaced, asked where they are, and all told the same."""

import hashlib
import os
import signal
import sys
import threading
import time
import unittest
from concurrent.futures.process import BrokenProcessPool

import harness
from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

def prepare(value):
    sys.prepared = value  # globals of this script have a copy per function where workers are not forked from it


def prepared():
    return getattr(sys, "prepared", None)


def refuse(path):
    with open(path, "a") as file:
        file.write("x")
    raise LookupError("no licence here")


def echo(value):
    return value


def add(x, *, y):
    return x + y


def fail_in(pid):
    if os.getpid() == pid:
        raise ValueError


def fail_here(message):
    raise ValueError(message)


def leave_and_fail(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    raise ValueError(folder)


def touch_and_wait(path):
    open(path, "w").close()
    while True:
        time.sleep(0.01)


def wait_as(folder):
    touch_and_wait(os.path.join(folder, str(os.getpid())))


def tell(path):
    open(path, "w").close()
    return os.getpid()


def recur(depth):
    return depth and recur(depth - 1)


def recur_until(path):
    """Runs Python all the time, in frames that come and go."""
    while not os.path.exists(path):
        for _ in range(50):
            recur(400)


def compute_beside_threads(path):
    """Without the GIL, in C code that no signal ends."""
    threads = [threading.Thread(target=recur_until, args=(path,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not os.path.exists(path):
        hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000)
    return os.getpid()


async def recur_in_coroutine(path):
    recur_until(path)


async def answer(value):
    return value


def meet(folder, name, others):
    """Returns once all of them are under way at the same time."""
    open(os.path.join(folder, name), "w").close()
    deadline = time.monotonic() + 30
    while len(os.listdir(folder)) < others:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def be_the_first(path):
    """Succeeds in one worker alone."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))


@for_each_start
class Preparing(WithExecutor):
    def make(self, *args, **options):
        executor = pyhost.Executor(*args, start=self.start_method, **options)
        self.addCleanup(executor.shutdown, cancel_futures=True)
        return executor

    def test_an_initializer_prepares_every_worker_before_its_first_call(self):
        executor = self.make(2, initializer=prepare, initargs=(7,))

        self.assertEqual([executor.submit(prepared).result(timeout=30) for _ in range(20)], [7] * 20)

    def test_a_replacement_is_prepared_as_well(self):
        executor = self.make(1, initializer=prepare, initargs=({"deep": [1, 2]},))
        self.assertIsInstance(executor.submit(os._exit, 1).exception(timeout=30), pyhost.WorkerCrashed)

        self.assertEqual(executor.submit(prepared).result(timeout=30), {"deep": [1, 2]})

    def test_an_initializer_that_fails_fails_every_call_once_and_ends_soon(self):
        executor = self.make(2, initializer=refuse, initargs=(str(self.folder / "runs"),))
        futures = [executor.submit(echo, i) for i in range(50)]

        for future in futures:
            error = future.exception(timeout=60)
            self.assertIsInstance(error, pyhost.StartupError)
            self.assertIsInstance(error, BrokenProcessPool)  # as in the standard library
            self.assert_says(str(error), "`refuse`", "LookupError", "no licence here")
        self.assertLessEqual((self.folder / "runs").stat().st_size, 20)

    def test_a_pool_ends_though_some_of_its_workers_could_not_be_prepared(self):
        with self.make(2, initializer=be_the_first, initargs=(str(self.folder / "first"),)) as executor:
            found = [future.result(timeout=30) for future in [executor.submit(echo, i) for i in range(10)]]

        self.assertEqual(found, list(range(10)))

    def test_an_initializer_that_cannot_be_sent_fails_the_call_where_it_is_not_inherited(self):
        executor = self.make(1, initializer=prepare, initargs=(threading.Lock(),))

        expected = type(None) if self.start_method == "fork" else pyhost.MarshalError
        self.assertIsInstance(executor.submit(echo, 1).exception(timeout=30), expected)

    def test_a_worker_is_replaced_after_its_calls(self):
        executor = self.make(1, max_tasks_per_child=3)
        pids = [executor.submit(os.getpid).result(timeout=30) for _ in range(12)]

        self.assertLessEqual(max(pids.count(pid) for pid in pids), 3)

    def test_workers_grow_with_the_load(self):
        executor = self.make((1, 3))
        self.assertEqual(executor.submit(echo, 1).result(timeout=30), 1)
        futures = [executor.submit(meet, str(self.folder), str(i), 3) for i in range(3)]

        self.assertEqual([future.result(timeout=60) for future in futures], [True] * 3)

    def test_a_worker_runs_several_calls_at_a_time_when_told_to(self):
        executor = self.make(1, concurrency=4)
        futures = [executor.submit(meet, str(self.folder), str(i), 4) for i in range(4)]

        self.assertEqual([future.result(timeout=60) for future in futures], [True] * 4)
        self.assertEqual(list(executor.map(answer, range(20))), list(range(20)))


@for_each_start
class Broadcasts(WithExecutor):
    workers = 3

    def test_a_broadcast_runs_once_in_every_worker(self):
        pids = self.executor.broadcast(os.getpid)

        self.assertEqual(len(set(pids)), 3)
        self.assertEqual(self.executor.broadcast(add, 1, y=2), [3] * 3)

    def test_workers_with_a_memory_cap_of_their_own_count_too(self):
        limited = self.executor.options(memory="2G")
        pid = limited.submit(os.getpid).result(timeout=30)

        self.assertIn(pid, self.executor.broadcast(os.getpid))
        self.assertIn(pid, self.executor._processes)
        self.assertIn(pid, [where.pid for where in self.executor.stacks(timeout=20)])
        self.assertEqual(len(self.executor.broadcast(add, 1, y=2)), 6)
        self.assertRaisesRegex(ValueError, "not here", self.executor.broadcast, fail_here, "not here")
        self.assertRaises(ValueError, self.executor.broadcast, fail_in, pid)

    def test_a_broadcast_is_seen_by_later_calls(self):
        self.executor.broadcast(prepare, "model")

        self.assertEqual([self.call(prepared) for _ in range(12)], ["model"] * 12)

    def test_a_broadcast_that_fails_raises_its_exception(self):
        self.assertRaisesRegex(ValueError, "not here", self.executor.broadcast, fail_here, "not here")
        self.assertRaisesRegex(TypeError, "not callable", self.executor.broadcast, 3)
        self.assertEqual(self.call(echo, 1), 1)

    def test_workers_that_end_before_they_come_to_it_are_left_out(self):
        busy = [self.executor.submit(wait_as, str(self.folder)) for _ in range(2)]
        harness.wait_until(lambda: len(list(self.folder.iterdir())) == 2, what="two calls to be under way")
        pids, told, results = [int(path.name) for path in self.folder.iterdir()], self.folder / "told", []
        thread = threading.Thread(target=lambda: results.extend(self.executor.broadcast(tell, str(told))))
        thread.start()
        harness.wait_until(told.exists, what="the broadcast")

        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        thread.join(30)
        self.assertEqual(len(results), 1)
        self.assertNotIn(results[0], pids)
        self.assertTrue(all(isinstance(future.exception(timeout=30), pyhost.WorkerCrashed) for future in busy))

    def test_a_broadcast_that_fails_has_run_in_all_workers_of_every_memory_cap(self):
        self.executor.options(memory="2G").submit(echo, 1).result(timeout=30)

        with self.assertRaises(ValueError):
            self.executor.broadcast(leave_and_fail, str(self.folder))

        self.assertEqual(set(os.listdir(self.folder)), set(map(str, self.executor._processes)))
        self.assertEqual(len(os.listdir(self.folder)), 6)


@for_each_start
class Stacks(WithExecutor):
    workers = 1

    def test_stacks_say_where_every_worker_is(self):
        self.assertEqual(self.executor.stacks(), [])  # not started
        path = self.folder / "started"
        future = self.executor.submit(touch_and_wait, str(path))
        self.addCleanup(future.cancel, force=True)
        deadline = time.monotonic() + 30
        while not path.exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        where, = self.executor.stacks(timeout=20)

        self.assertEqual(where.worker, 0)
        self.assertIn("touch_and_wait", where.call)
        self.assertIn("in touch_and_wait", where.stack)
        self.assertGreater(where.seconds, 0)
        self.assert_says(str(where), f"worker 0 (pid {where.pid})", "in touch_and_wait")
        self.assertIn(where.pid, [other.pid for other in pyhost.stacks()])

    def make(self, **options):
        executor = pyhost.Executor(1, start=self.start_method, **options)
        self.addCleanup(executor.shutdown, cancel_futures=True)
        return executor

    def assert_says_where(self, executor, function, calls=1):
        """Asks where the worker is, over and over, while it runs these calls; none of them is harmed."""
        path = str(self.folder / f"over-{time.monotonic_ns()}")
        futures = [executor.submit(function, path) for _ in range(calls)]
        answers = 0
        deadline = time.monotonic() + 60
        try:
            while answers < 60 and not any(future.done() for future in futures):
                self.assertLess(time.monotonic(), deadline)
                answers += any(f"in {function.__name__}\n" in where.stack for where in executor.stacks(timeout=20))
        finally:
            open(path, "w").close()
        for future in futures:
            future.result(timeout=60)

    def test_threads_that_run_are_looked_at_without_harm(self):
        self.assert_says_where(self.executor, compute_beside_threads)

    def test_several_calls_that_run_are_looked_at_without_harm(self):
        executor = self.make(concurrency=4)
        over = threading.Event()

        def ask():  # also before another question was answered
            while not over.is_set():
                executor.stacks()
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            self.assert_says_where(executor, recur_until, calls=4)
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def test_a_coroutine_that_runs_shows_where_it_is(self):
        self.assert_says_where(self.make(concurrency=2), recur_in_coroutine)
        self.assert_says_where(self.make(), recur_in_coroutine)


class Signals(DriverCase):
    SCRIPT = """
import os, signal, time, pyhost
def stuck_in_worker():
    print("started", flush=True)
    while True: time.sleep(0.01)
{before}
future = pyhost.submit(stuck_in_worker)
def wait_in_driver():
    try:
        future.result()
    except BaseException as error:
        print(type(error).__name__, flush=True)
wait_in_driver()
"""

    def start_run(self, before=""):
        from harness import PYHOST
        process = self.start(PYHOST, "run", "-u", self.script(self.SCRIPT.format(before=before)), "--workers", "1")
        self.assertEqual(process.stdout.readline(), b"started\n")
        return process

    def test_sigusr1_prints_the_stacks_of_the_driver_and_of_every_worker(self):
        process = self.start_run()
        expected = ("in wait_in_driver", "worker 0 (pid", "in stuck_in_worker")
        text = ""
        deadline = time.monotonic() + 30
        os.set_blocking(process.stderr.fileno(), False)
        while not all(part in text for part in expected) and time.monotonic() < deadline:
            process.send_signal(signal.SIGUSR1)  # again: the driver may not be waiting yet
            time.sleep(0.1)
            text += (process.stderr.read() or b"").decode()
        process.kill()

        self.assert_says(text, *expected)

    def test_a_handler_of_the_script_replaces_that(self):
        process = self.start_run('signal.signal(signal.SIGUSR1, lambda *_: print("mine", flush=True))')
        process.send_signal(signal.SIGUSR1)

        self.assertEqual(process.stdout.readline(), b"mine\n")
        process.kill()

    def test_a_plain_import_installs_no_handler(self):
        outcome = self.run_python("""
import signal, pyhost
print(pyhost.submit(abs, -1).result(), int(signal.getsignal(signal.SIGUSR1)))
""")
        self.assertEqual(outcome.out, f"1 {int(signal.SIG_DFL)}\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
