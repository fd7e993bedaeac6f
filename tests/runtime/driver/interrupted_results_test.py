"""Ctrl-C, or what another signal handler raises, while a result is rebuilt: it is for whoever waits, and the outcome of
the call is still there."""

import os
import pickle
import signal
import sys
import threading
import unittest
from concurrent.futures.process import BrokenProcessPool

from driver_case import for_each_start, pyhost

_interrupts = 0  # how often this process is still interrupted while it rebuilds


def rebuilt(value):
    global _interrupts
    if _interrupts:
        _interrupts -= 1
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # here at the latest
            pass
    return value


class Slow:
    """Becomes its value, where it is rebuilt."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return rebuilt, (self.value,)


class Failed(Exception):
    def __setstate__(self, state):
        self.code = rebuilt(state["code"])


def slow(value):
    return Slow(value)


class SlowBuffer:
    """The same of bytes that travel beside the pickle."""

    def __init__(self, byte):
        self.content = byte * 100_000

    def __reduce__(self):
        return rebuilt, (pickle.PickleBuffer(self.content),)


def slow_buffer(byte):
    return SlowBuffer(byte)


def fail():
    error = Failed("here")
    error.code = 7
    raise error


def exit_here():
    raise SystemExit("when it is rebuilt")


class Exits:
    def __reduce__(self):
        return exit_here, ()


def make_exit():
    return Exits()


@for_each_start
class Interrupted:
    def setUp(self):
        super().setUp()
        self.assertIs(threading.current_thread(), threading.main_thread())
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def executor(self, **options):
        executor = pyhost.Executor(1, start=self.start_method, **options)
        self.addCleanup(executor.shutdown)
        return executor

    def assert_interrupted(self, call, *args, kind=KeyboardInterrupt):
        global _interrupts
        _interrupts = 1
        self.assertRaises(kind, call, *args)
        self.assertEqual(_interrupts, 0)

    def test_a_result_is_there_the_next_time(self):
        executor = self.executor()
        for function, expected in ((slow, b"\1"), (slow_buffer, b"\1" * 100_000)):
            future = executor.submit(function, b"\1")

            self.assert_interrupted(future.result, 30)
            self.assert_interrupted(future.exception, 30)

            self.assertEqual(bytes(future.result(30)), expected)
            self.assertIs(future.result(), future.result())
            self.assertIsNone(future.exception())

    def test_so_is_an_exception(self):
        future = self.executor().submit(fail)

        self.assert_interrupted(future.result, 30)

        self.assertRaisesRegex(Failed, "here", future.result, 30)
        self.assertEqual(future.exception().code, 7)

    def test_a_pool_that_breaks_by_what_cannot_be_rebuilt_does_not_by_ctrl_c(self):
        executor = self.executor(on_crash="pool")
        future = executor.submit(slow, 1)

        self.assert_interrupted(future.result, 30)

        self.assertEqual(future.result(30), 1)
        self.assertEqual(executor.submit(abs, -1).result(30), 1)

    def test_other_threads_that_wait_for_it_get_it(self):
        future, found = self.executor().submit(slow, 1), []
        threads = [threading.Thread(target=lambda: found.append(future.result(30))) for _ in range(4)]

        self.assert_interrupted(future.result, 30)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        self.assertEqual(found, [1] * 4)

    def test_a_map_is_ended_as_a_generator_is(self):
        results = self.executor().map(slow, range(9))

        self.assert_interrupted(next, results)

        self.assertRaises(StopIteration, next, results)

    def test_what_raises_where_it_is_rebuilt_without_a_signal_is_a_failure_there(self):
        found = [self.executor(on_crash="pool").submit(make_exit).exception(30)]
        future = self.executor(on_crash="pool").submit(make_exit)
        thread = threading.Thread(target=lambda: found.append(future.exception(30)))
        thread.start()
        thread.join(30)

        self.assertEqual([isinstance(error, BrokenProcessPool) for error in found], [True] * 2)

    def test_a_handler_may_exit(self):
        class Handler:
            def exits(self, *_):
                sys.exit("by signal")

            def __call__(self, *_):
                self.exits()

        future = self.executor().submit(slow, 1)
        for handler in (lambda *_: sys.exit("by signal"), Handler().exits, Handler()):
            signal.signal(signal.SIGINT, handler)
            self.assert_interrupted(future.result, 30, kind=SystemExit)
        self.assertEqual(future.result(30), 1)

    def test_results_of_a_pool_are_all_there_the_next_time(self):
        pool = pyhost.Pool(2, start=self.start_method)
        self.addCleanup(pool.join)
        self.addCleanup(pool.terminate)
        single, several = pool.apply_async(slow, (1,)), pool.map_async(slow, range(9))
        fed, large = pool.imap(slow, iter(range(9))), pool.imap_unordered(slow_buffer, [b"a", b"b", b"c"])

        self.assert_interrupted(single.get, 30)
        self.assert_interrupted(several.get, 30)
        self.assert_interrupted(several.get, 30)
        self.assert_interrupted(fed.next, 30)
        self.assert_interrupted(large.next, 30)

        self.assertEqual(single.get(30), 1)
        self.assertEqual(several.get(30), list(range(9)))
        self.assertEqual(list(fed), list(range(9)))
        self.assertEqual(sorted(bytes(value)[-1:] for value in large), [b"a", b"b", b"c"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
