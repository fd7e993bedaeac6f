"""Futures are those of concurrent.futures for everybody who takes one."""

import asyncio
import concurrent.futures
import os
import sys
import threading
import time
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost


def echo(value):
    return value


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def wait_for(path):
    deadline = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.001)
    return "found" if os.path.exists(path) else "nothing"


def fail():
    raise LookupError("gone")


def sum_nested(count):
    return sum(pyhost.map(echo, range(count)))


@for_each_start
class Futures(WithExecutor):
    def test_they_are_futures_of_the_standard_library(self):
        future = self.executor.submit(echo, 1)

        self.assertIsInstance(future, concurrent.futures.Future)
        self.assertEqual(future.result(timeout=30), 1)
        self.assertTrue(future.done())
        self.assertIsNone(future.exception())
        self.assertIn("finished", repr(future))

    def test_a_result_that_is_late_is_a_timeout(self):
        future = self.executor.submit(sleep, 0.3)

        self.assertRaises(concurrent.futures.TimeoutError, future.result, 0.01)
        self.assertFalse(future.done())
        self.assertEqual(future.result(timeout=30), 0.3)

    def test_wait_and_as_completed_accept_them(self):
        futures = [self.executor.submit(echo, i) for i in range(50)] + [self.executor.submit(fail)]

        done, left = concurrent.futures.wait(futures, timeout=30)
        self.assertEqual((len(done), len(left)), (51, 0))
        slow, fast = self.executor.submit(sleep, 0.5), self.executor.submit(echo, 1)
        self.assertIs(next(concurrent.futures.as_completed([slow, fast], timeout=30)), fast)
        first, _ = concurrent.futures.wait([slow, fast], timeout=30, return_when=concurrent.futures.FIRST_COMPLETED)
        self.assertIn(fast, first)

    def test_wait_sees_cancelled_ones(self):
        blockers = [self.executor.submit(sleep, 0.5) for _ in range(2)]
        queued = self.executor.submit(echo, 1)
        waiter = threading.Thread(target=concurrent.futures.wait, args=([queued], 30))
        waiter.start()
        queued.cancel()
        waiter.join(20)

        self.assertFalse(waiter.is_alive())
        concurrent.futures.wait(blockers)

    def test_shutdown_waits_for_callbacks(self):
        found, pause = [], threading.Event()

        def keep(future):
            pause.wait(0.02)  # until long after the workers have ended
            found.append(future.result())

        for i in range(20):
            self.executor.submit(echo, i).add_done_callback(keep)
        self.executor.shutdown()

        self.assertEqual(sorted(found), list(range(20)))

    def test_a_callback_may_shut_its_executor_down(self):
        ended = threading.Event()

        def end(_):
            self.executor.shutdown()
            ended.set()

        self.executor.submit(echo, 1).add_done_callback(end)
        self.assertTrue(ended.wait(30))

    def test_callbacks_are_called_once_before_or_after(self):
        called, event = [], threading.Event()
        future = self.executor.submit(sleep, 0.05)
        future.add_done_callback(called.append)
        future.add_done_callback(lambda _: event.set())

        self.assertTrue(event.wait(30))
        future.add_done_callback(called.append)
        self.assertEqual(called, [future, future])

    def test_a_callback_may_submit_and_wait(self):
        results, event = [], threading.Event()

        def follow(future):
            results.append(self.executor.submit(echo, future.result() + 1).result(timeout=30))
            event.set()

        self.executor.submit(echo, 1).add_done_callback(follow)

        self.assertTrue(event.wait(30))
        self.assertEqual(results, [2])

    def test_a_callback_may_wait_for_a_future_of_another_pool(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        found, over = [], threading.Event()
        with pyhost.Executor(1, start="fork") as other:
            awaited = other.submit(os.read, reader, 1)
            awaited.add_done_callback(lambda _: None)

            def wait_for_it(_):
                os.write(writer, b"x")
                found.extend(concurrent.futures.wait([awaited], timeout=20).done)
                over.set()

            self.executor.submit(echo, 1).add_done_callback(wait_for_it)

            self.assertTrue(over.wait(30))
            self.assertEqual(found, [awaited])

    def test_the_thread_of_callbacks_ends_with_its_pool(self):
        with pyhost.Executor(1, start=self.start_method) as other:
            called = []
            other.submit(sleep, 0.05).add_done_callback(lambda _: called.append(threading.current_thread()))

        self.assertFalse(called[0].is_alive())
        self.assertIsNot(called[0], threading.main_thread())

    def test_a_callback_that_exits_ends_no_thread_in_which_others_are_to_run(self):
        go, called = self.folder / "go", threading.Event()
        with self.assertLogs("concurrent.futures", "ERROR") as caught:
            held = self.executor.submit(wait_for, str(go))
            held.add_done_callback(lambda _: sys.exit())
            go.touch()
            self.assertEqual(held.result(timeout=30), "found")
            self.executor.submit(echo, 1).add_done_callback(lambda _: called.set())

            self.assertTrue(called.wait(30))
        self.assertIn("SystemExit", caught.output[0])

    def test_asyncio_awaits_them(self):
        async def main():
            wrapped = [asyncio.wrap_future(self.executor.submit(echo, i)) for i in range(20)]
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*wrapped, loop.run_in_executor(self.executor, echo, 20))

        self.assertEqual(asyncio.run(main()), list(range(21)))

    def test_many_threads_submit_and_wait(self):
        failures = []

        def work(start):
            for i in range(start, start + 100):
                if self.executor.submit(echo, i).result(timeout=60) != i:
                    failures.append(i)

        threads = [threading.Thread(target=work, args=(n * 100,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        self.assertEqual(failures, [])
        self.assertFalse(any(thread.is_alive() for thread in threads))

    def test_many_threads_wait_for_the_same_result(self):
        future = self.executor.submit(sleep, 0.1)
        results = []
        threads = [threading.Thread(target=lambda: results.append(future.result(30))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        self.assertEqual(results, [0.1] * 8)

    def test_an_exception_is_the_same_object_each_time(self):
        future = self.executor.submit(fail)

        self.assertIs(future.exception(timeout=30), future.exception())
        self.assertRaises(LookupError, future.result)

    def test_a_task_may_use_a_pool_of_its_own(self):
        self.assertEqual(self.call(sum_nested, 100), 4950)

    def test_a_task_knows_its_worker(self):
        self.assertIsNone(pyhost.current_worker())
        self.assertIn(self.call(pyhost.current_worker).id, (0, 1))


class Settlers(DriverCase):
    """Of the thread in which callbacks run."""

    def assert_prints(self, expected, text, *arguments):
        outcome = self.run_python(text, *arguments, timeout=60)
        self.assert_status(outcome, 0)
        self.assertEqual(outcome.out, expected, outcome.err)

    def test_a_process_that_a_callback_starts_hears_signals(self):
        self.assert_prints("-15\n", """
import subprocess, pyhost
def start(_):
    with subprocess.Popen(["sleep", "100"]) as process:
        process.terminate()
    print(process.returncode)
with pyhost.Executor(1) as executor:
    executor.submit(abs, -1).add_done_callback(start)
""")

    def test_ctrl_c_while_the_thread_is_started_leaves_no_thread_behind(self):
        self.assert_prints("interrupted\ncalled\nended\n", """
import threading, pyhost
start = threading.Thread.start
def start_and_interrupt(thread):
    start(thread)
    if thread.name == "pyhost-settler":
        threading.Thread.start = start
        raise KeyboardInterrupt
threading.Thread.start = start_and_interrupt
with pyhost.Executor(1) as executor:
    try:
        executor.submit(abs, -1).add_done_callback(print)
    except KeyboardInterrupt:
        print("interrupted")
    executor.submit(abs, -2).add_done_callback(lambda _: print("called"))
if not any(thread.name == "pyhost-settler" for thread in threading.enumerate()):
    print("ended")
""")

    def test_ctrl_c_anywhere_while_futures_are_set_up_loses_none_of_them(self):
        self.assert_prints("all of them, each time\n", """
import concurrent.futures, itertools, os, sys, threading, time, pyhost, pyhost.futures
def there(path):
    while not os.path.exists(path) and os.getppid() != 1:
        time.sleep(0.001)
def interrupt(frame, event, _):  # where Python looks for signals
    global left
    left -= frame.f_code.co_filename == pyhost.futures.__file__ and event in ("call", "c_return")
    if left == 0:
        raise KeyboardInterrupt
def interrupted(futures):
    sys.setprofile(interrupt)
    try:
        concurrent.futures.wait(futures, timeout=0)
        return False
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
executor = pyhost.Executor(2)
for at in itertools.count(1):
    left, gate = at, sys.argv[1] + str(at)
    futures = [executor.submit(abs, -1), executor.submit(there, gate), executor.submit(there, gate)]
    futures[0].result()
    again = interrupted(futures)
    open(gate, "w").close()
    done = []
    thread = threading.Thread(target=lambda: done.extend(concurrent.futures.wait(futures, 20).done), daemon=True)
    thread.start()
    thread.join(20)
    assert len(done) == 3, (at, done)
    if not again:
        break
assert at > 20, at
executor.shutdown()
print("all of them, each time")
""", str(self.folder / "gate"))

    def test_a_future_that_stays_locked_holds_up_neither_others_nor_the_end(self):
        self.assert_prints("settled\nended FINISHED\n", """
import threading, pyhost
with pyhost.Executor(1) as executor:
    locked, other = executor.submit(abs, -1), executor.submit(abs, -2)
    locked._condition.acquire()
    settled = threading.Event()
    locked.add_done_callback(lambda _: print("ended", locked._state))
    other.add_done_callback(lambda _: settled.set())
    if settled.wait(20):
        print("settled")
""")

    def test_a_finalizer_may_come_to_a_future_while_another_is_set_up(self):
        self.assert_prints("finalized\nfinalized\n", """
import gc, threading, pyhost
make = threading.Thread.__init__
def make_and_collect(self, *args, **kwargs):
    gc.collect()
    make(self, *args, **kwargs)
threading.Thread.__init__ = make_and_collect
class Finalized:
    def __init__(self, future):
        self.future, self.cycle = future, self
    def __del__(self):
        self.future.add_done_callback(lambda _: print("finalized"))
with pyhost.Executor(1) as executor:
    for _ in range(2):
        Finalized(executor.submit(abs, -1))
    executor.submit(abs, -2).add_done_callback(lambda _: None)
""")


if __name__ == "__main__":
    unittest.main(verbosity=2)
