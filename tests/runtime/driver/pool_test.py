"""`Pool`: what CPython's own tests of multiprocessing.pool (tests/conformance/pool_test.py) leave open."""

import concurrent.futures
import gc
import itertools
import multiprocessing
import multiprocessing.pool
import os
import pickle
import queue
import signal
import sys
import textwrap
import threading
import time
import unittest

from driver_case import DriverCase, for_each_start, harness, pyhost

try:
    import numpy
except ImportError:
    numpy = None


def square(x):
    return x * x


def add(a, b):
    return a + b


def fail_at(x, bad):
    if x == bad:
        raise ValueError(f"no {x}")
    return x


def fail_at_three(x):
    return fail_at(x, 3)


def stop_at_three(x):
    if x == 3:
        raise StopIteration("three")
    return x


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_three(x):
    return die(x) if x == 3 else x


def nap(seconds):
    time.sleep(seconds)
    return seconds


def mark(path):
    with open(path, "a") as file:
        file.write("x")


def touch(folder_and_number):
    folder, number = folder_and_number
    with open(os.path.join(folder, str(number)), "w"):
        pass
    return number


def await_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


def lock_of(_):
    return threading.Lock()


def pid_of(_):
    return os.getpid()


class Unsendable:
    def __reduce__(self):
        raise RuntimeError("stays here")


class WithPool:
    def setUp(self):
        super().setUp()
        self.pool = self.make_pool()

    def make_pool(self, processes=2, **options):
        pool = pyhost.Pool(processes, start=self.start_method, **options)
        self.addCleanup(pool.join)
        self.addCleanup(pool.terminate)
        return pool

    def outcomes(self, results):
        """What an iterator gives, exceptions as their classes."""
        found = []
        while True:
            try:
                found.append(next(results))
            except StopIteration:
                return found
            except Exception as error:
                found.append(type(error))


@for_each_start
class Calls(WithPool):
    def test_is_a_pool_of_multiprocessing_with_its_results(self):
        self.assertIsInstance(self.pool, multiprocessing.pool.Pool)
        self.assertIsInstance(self.pool.apply_async(square, (2,)), multiprocessing.pool.AsyncResult)
        self.assertIsInstance(self.pool.map_async(square, [2]), multiprocessing.pool.MapResult)
        self.assertIsInstance(self.pool.imap(square, [2]), multiprocessing.pool.IMapIterator)
        self.assertEqual(self.pool._processes, 2)

    def test_apply_takes_any_iterable_and_mapping_of_arguments(self):
        self.assertEqual(self.pool.apply(add, [1], {"b": 2}), 3)
        self.assertEqual(self.pool.apply(add, iter((1, 2))), 3)

    def test_what_cannot_be_called_fails_as_a_result(self):
        for result in (self.pool.apply_async(7), self.pool.apply_async(square, 7), self.pool.map_async(7, [1])):
            with self.assertRaises(TypeError):
                result.get(timeout=30)

    def test_starmap_takes_lists_and_other_iterables(self):
        self.assertEqual(self.pool.starmap(add, [[1, 2], (3, 4), iter((5, 6))]), [3, 7, 11])
        self.assertEqual(self.pool.starmap_async(add, zip(range(100), range(100))).get(30), list(range(0, 200, 2)))

    def test_functions_that_cannot_be_imported_can_be_mapped(self):
        offset = 7

        self.assertEqual(self.pool.map(lambda x: x + offset, range(3)), [7, 8, 9])

    def test_many_maps_of_many_kinds_of_input_agree(self):
        for items in (range(1000), list(range(1000)), tuple(map(str, range(500))), dict.fromkeys("abc"), {1, 2}, "text"):
            expected = list(map(str, items))
            self.assertEqual(self.pool.map(str, items), expected)
            self.assertEqual(self.pool.map_async(str, items, 7).get(30), expected)
            self.assertEqual(list(self.pool.imap(str, items)), expected)
            self.assertEqual(list(self.pool.imap(str, iter(items), 10)), expected)
            self.assertEqual(sorted(self.pool.imap_unordered(str, items)), sorted(expected))

    def test_a_chunk_size_below_one_is_refused(self):
        for method in (self.pool.map, self.pool.imap, self.pool.imap_unordered, self.pool.map_async):
            with self.assertRaisesRegex(ValueError, "Chunksize must be 1"):
                method(square, [1], 0)

    def test_without_a_chunk_size_the_pool_chooses(self):
        for items in (range(5), iter(range(5))):
            self.assertEqual(list(self.pool.imap(square, items, None)), [0, 1, 4, 9, 16])
        self.assertEqual(sorted(self.pool.imap_unordered(square, range(3), chunksize=None)), [0, 1, 4])

    def test_a_chunk_size_that_is_no_integer_is_refused(self):
        for method in (self.pool.map, self.pool.imap, self.pool.imap_unordered, self.pool.map_async):
            for wrong in ("2", 1.5):
                with self.assertRaisesRegex(TypeError, f"chunksize must be an integer or None, and is `{wrong!r}`"):
                    method(square, [1], wrong)


@for_each_start
class Failures(WithPool):
    def test_map_runs_every_item_and_raises_the_first_exception(self):
        folder = str(self.folder)
        with self.assertRaisesRegex(FileNotFoundError, "missing"):
            self.pool.map(touch, [("/missing", 0), *((folder, i) for i in range(50)), ("/missing too", 0)])

        self.assertEqual(len(os.listdir(folder)), 50)

    def test_an_exception_has_the_remote_traceback_of_multiprocessing(self):
        for call in (lambda: self.pool.apply(fail_at_three, (3,)), lambda: self.pool.map(fail_at_three, [3]),
                     lambda: next(self.pool.imap(fail_at_three, [3])),
                     lambda: self.pool.map_async(fail_at_three, [3]).get(30)):
            with self.assertRaisesRegex(ValueError, "no 3") as caught:
                call()
            self.assertIs(type(caught.exception.__cause__), multiprocessing.pool.RemoteTraceback)
            self.assertIn("raise ValueError", caught.exception.__cause__.tb)

    def test_imap_goes_on_after_an_exception(self):
        for items in ([1, 2, 3, 4], iter([1, 2, 3, 4])):
            self.assertEqual(self.outcomes(self.pool.imap(fail_at_three, items)), [1, 2, ValueError, 4])
        found = self.outcomes(self.pool.imap_unordered(fail_at_three, range(5)))
        self.assertEqual(sorted(map(str, found)), sorted(map(str, [0, 1, 2, ValueError, 4])))

    def test_a_stop_iteration_of_a_call_is_an_exception_and_no_end(self):
        found = [0, 1, 2, RuntimeError, 4]
        for items in (range(5), iter(range(5))):
            self.assertEqual(self.outcomes(self.pool.imap(stop_at_three, items)), found)
        self.assertCountEqual(self.outcomes(self.pool.imap_unordered(stop_at_three, range(5))), found)
        for call in (lambda: self.pool.map(stop_at_three, range(5)),
                     lambda: self.pool.starmap(stop_at_three, zip(range(5))),
                     lambda: self.pool.map_async(stop_at_three, range(5)).get(30),
                     lambda: self.pool.imap(stop_at_three, [3]).next(30)):
            with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration") as caught:
                call()
            self.assertEqual(caught.exception.__cause__.args, ("three",))
            self.assertIs(type(caught.exception.__cause__.__cause__), multiprocessing.pool.RemoteTraceback)

    def test_an_item_that_cannot_be_sent_fails_alone_as_pickle_says_it(self):
        items = [1, Unsendable(), 3]

        for results in (self.pool.imap(str, items), self.pool.imap(str, iter(items), 2)):
            first, refused, last = self.outcomes(results)
            self.assertEqual((first, last), ("1", "3"))
            self.assertTrue(issubclass(refused, pyhost.MarshalError) and issubclass(refused, RuntimeError))
        with self.assertRaisesRegex(RuntimeError, r"`Unsendable` at \$.*stays here"):
            self.pool.map(str, items)
        with self.assertRaises(pyhost.MarshalError) as caught:
            self.pool.apply(str, (Unsendable(),))
        self.assertIs(type(pickle.loads(pickle.dumps(caught.exception))), pyhost.MarshalError)

    def test_a_result_that_cannot_be_sent_fails_as_in_multiprocessing(self):
        with self.assertRaises(multiprocessing.pool.MaybeEncodingError) as caught:
            self.pool.apply(lock_of, (1,))

        self.assertIsInstance(caught.exception, pyhost.MarshalError)
        self.assert_says(str(caught.exception), "`lock` at $", "Reason")
        self.assert_says(caught.exception.value, "`lock` at $")

    def test_an_input_that_raises_ends_imap_behind_its_last_item(self):
        def items():
            yield 1
            yield 2
            raise KeyError("input")

        self.assertEqual(self.outcomes(self.pool.imap(square, items())), [1, 4, KeyError])
        *results, end = self.outcomes(self.pool.imap_unordered(square, items()))
        self.assertEqual((sorted(results), end), ([1, 4], KeyError))
        with self.assertRaises(KeyError):
            self.pool.map(square, items())

    def test_a_worker_that_dies_fails_its_item_and_no_other(self):
        found = self.outcomes(self.pool.imap(die_at_three, range(6)))

        self.assertEqual(found, [0, 1, 2, pyhost.WorkerCrashed, 4, 5])
        with self.assertRaises(pyhost.WorkerCrashed):
            self.pool.apply(die, (1,))
        self.assertEqual(self.pool.map(square, range(5)), [0, 1, 4, 9, 16])


@for_each_start
class Waiting(WithPool):
    def test_a_result_that_is_late_is_a_timeout_and_can_be_had_later(self):
        one = self.pool.apply_async(nap, (1.0,))
        many = self.pool.map_async(nap, [1.0])
        each = self.pool.imap(nap, iter([0.01]))

        self.assertFalse(one.ready() or many.ready())
        for late in (one.get, many.get, each.next):
            with self.assertRaises(multiprocessing.TimeoutError):
                late(timeout=0.01)
        with self.assertRaisesRegex(ValueError, "not ready"):
            many.successful()
        self.assertEqual((one.get(30), many.get(30), each.next(30)), (1.0, [1.0], 0.01))
        self.assertTrue(one.ready() and many.ready() and one.successful() and many.successful())

    def test_the_exception_of_a_call_is_not_taken_for_that_of_waiting(self):
        def late(_):
            raise multiprocessing.TimeoutError("mine")

        with self.assertRaisesRegex(multiprocessing.TimeoutError, "mine"):
            self.pool.apply_async(late, (1,)).get(30)
        with self.assertRaisesRegex(multiprocessing.TimeoutError, "mine"):
            self.pool.imap(late, [1]).next(30)

    def test_a_call_that_ends_when_it_is_late_is_not_lost(self):
        result = self.pool.apply_async(square, (3,))
        wait = type(result).result
        self.assertEqual(result.get(30), 9)

        class Late(type(result)):
            def result(self, timeout=None):
                if timeout is None:
                    return wait(self)
                raise concurrent.futures.TimeoutError  # decided before it ended

        result.__class__ = Late
        self.assertEqual(result.get(0.001), 9)

    def test_many_threads_may_wait_for_one_result(self):
        result = self.pool.map_async(nap, [0.2])
        found = []
        threads = [threading.Thread(target=lambda: found.append(result.get(30))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        self.assertEqual(found, [[0.2]] * 4)

    def test_many_threads_may_share_an_imap(self):
        results = self.pool.imap_unordered(square, range(2000))
        found = []
        threads = [threading.Thread(target=lambda: found.extend(results)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        self.assertEqual(sorted(found), [square(x) for x in range(2000)])

    def test_unordered_results_come_as_they_are_ready(self):
        self.pool.map(nap, [0, 0])
        found = list(self.pool.imap_unordered(nap, [0.5, 0.01, 0.02]))

        self.assertEqual(found[-1], 0.5)

    def test_callbacks_run_before_their_result_is_ready_one_after_the_other(self):
        called, threads = [], set()

        def note(value):
            threads.add(threading.get_ident())
            called.append(value)

        results = [self.pool.apply_async(square, (x,), callback=note) for x in range(50)]
        results.append(self.pool.map_async(square, range(3), callback=note))
        results.append(self.pool.starmap_async(add, [], callback=note))
        for result in results:
            result.wait(30)

        self.assertEqual(len(called), 52)
        self.assertEqual(sorted(x for x in called if isinstance(x, int)), [square(x) for x in range(50)])
        self.assertTrue([0, 1, 4] in called and [] in called)
        self.assertEqual(len(threads), 1)
        self.assertNotIn(threading.get_ident(), threads)

    def test_error_callbacks_get_what_get_raises(self):
        failures, results = [], []
        for call in ((fail_at_three, (3,)), (lock_of, (1,)), (str, (Unsendable(),))):
            results.append(self.pool.apply_async(*call, callback=self.fail, error_callback=failures.append))
            results[-1].wait(30)
        results.append(self.pool.map_async(fail_at_three, range(5), error_callback=failures.append))
        results[-1].wait(30)

        for result, failure in zip(results, failures):
            with self.assertRaises(Exception) as caught:
                result.get(30)
            self.assertIs(caught.exception, failure)
            self.assertFalse(result.successful())
        self.assertEqual(len(failures), 4)

    def test_a_callback_that_raises_is_reported_and_harms_nothing(self):
        reported = []
        self.addCleanup(setattr, threading, "excepthook", threading.excepthook)
        threading.excepthook = reported.append

        self.assertEqual(self.pool.apply_async(square, (3,), callback=lambda _: 1 / 0).get(30), 9)

        self.assertIs(reported[0].exc_type, ZeroDivisionError)
        self.assertEqual(self.pool.apply_async(square, (4,), callback=reported.append).get(30), 16)

    def test_a_callback_may_use_the_pool(self):
        found = []
        result = self.pool.apply_async(square, (3,), callback=lambda x: found.append(self.pool.apply(square, (x,))))
        result.wait(30)

        self.assertEqual(found, [81])


@for_each_start
class Inputs(WithPool):
    """What `imap` does with inputs that are not there already."""

    def test_an_input_may_wait_for_what_the_reader_does(self):
        for method in (self.pool.imap, self.pool.imap_unordered):
            permits = threading.Semaphore(10)

            def items():
                for i in range(300):
                    permits.acquire()
                    yield i

            found = []
            for value in method(square, items()):
                found.append(value)
                permits.release()
            self.assertEqual(sorted(found), [square(x) for x in range(300)])

    def test_an_input_may_be_fed_with_results(self):
        todo = queue.Queue()
        todo.put(1)
        found = []
        for value in self.pool.imap(square, iter(todo.get, None)):
            found.append(value)
            todo.put(value + 1 if len(found) < 5 else None)

        self.assertEqual(found, [1, 4, 25, 676, 458329])

    def test_a_slow_input_does_not_hold_back_the_results_of_what_it_gave(self):
        self.pool.map(square, range(100_000))  # the pool knows that it is quick
        more = threading.Event()
        self.addCleanup(more.set)

        def items():
            yield 2
            yield 3
            more.wait(30)
            yield 4

        results = self.pool.imap(square, items())
        self.assertEqual([results.next(30), results.next(30)], [4, 9])
        with self.assertRaises(multiprocessing.TimeoutError):
            results.next(0.05)
        more.set()
        self.assertEqual(list(results), [16])

    def test_reading_ahead_is_bounded_and_goes_on(self):
        read = []

        def items():
            for i in range(1_000_000):
                read.append(i)
                yield i

        results = self.pool.imap(square, items())
        self.assertEqual(next(results), 0)
        most = 16384 * 4 * 2 + 1
        self.assertLessEqual(len(read), most)
        for expected in range(1, 300_000):
            if next(results) != square(expected):
                self.fail(f"wrong result at {expected}")
        self.assertLessEqual(len(read), 300_000 + most)

    def test_an_input_that_raises_or_has_unsendable_items_is_reported_in_place(self):
        def items():
            yield 1
            yield threading.Lock()
            yield 3
            raise KeyError("input")

        first, refused, last, end = self.outcomes(self.pool.imap(str, items()))
        self.assertEqual((first, last, end), ("1", "3", KeyError))
        self.assertTrue(issubclass(refused, TypeError))

    def wait_for_feeders(self):
        """Until no thread reads an input any more."""
        harness.wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "pyhost-imap"])

    def test_nothing_that_an_input_gives_after_its_imap_is_closed_is_run(self):
        for method in (self.pool.imap, self.pool.imap_unordered):
            inside, go = threading.Event(), threading.Event()
            self.addCleanup(go.set)

            def items():
                yield Unsendable(), 0  # it has its outcome at once
                inside.set()
                go.wait(30)
                yield str(self.folder), 0

            results = method(touch, items())
            self.assertTrue(inside.wait(30))
            results.close()
            self.assertEqual(self.outcomes(results), [])
            go.set()
            self.wait_for_feeders()
            self.assertEqual(self.outcomes(results), [])
        self.pool.close()
        self.pool.join()

        self.assertEqual(os.listdir(self.folder), [])

    def test_close_wakes_the_thread_that_has_read_ahead_as_far_as_it_may(self):
        path = str(self.folder) + "/last"
        last = 16384 * 4 * 2 - 1
        results = self.pool.imap(lambda x: x < last or open(path, "w").close(), itertools.count())
        harness.wait_until(lambda: os.path.exists(path) and results._open == 0)

        results.close()

        self.wait_for_feeders()

    @unittest.skipIf(numpy is None, "no numpy")
    def test_arrays_travel_one_by_one(self):
        arrays = (numpy.full(3000, i) for i in range(40))

        self.assertEqual([float(x) for x in self.pool.imap(numpy.sum, arrays)], [3000.0 * i for i in range(40)])

    def test_many_inputs_at_once(self):
        inputs = [self.pool.imap_unordered(square, iter(range(start, start + 5000))) for start in range(0, 50_000, 5000)]

        self.assertEqual(sorted(itertools.chain(*inputs)), [square(x) for x in range(50_000)])

    def test_terminate_leaves_no_thread_behind(self):
        results = self.pool.imap(square, itertools.count())
        self.assertEqual(next(results), 0)
        self.pool.terminate()
        self.pool.join()

        self.wait_for_feeders()
        with self.assertRaises(Exception):
            for _ in range(10_000_000):
                next(results)


@for_each_start
class Ends(WithPool):
    def test_close_and_join_finish_everything_whether_it_is_read_or_not(self):
        folder = str(self.folder)
        self.pool.imap(touch, ((folder, i) for i in range(500)))
        kept = self.pool.imap_unordered(touch, iter([(folder, i) for i in range(500, 900)]))
        self.pool.map_async(touch, [(folder, i) for i in range(900, 1000)])
        gc.collect()
        self.pool.close()
        self.pool.join()

        self.assertEqual(sorted(kept), list(range(500, 900)))
        self.assertEqual(set(map(str, range(1000))), set(os.listdir(folder)))

    def test_join_waits_for_callbacks(self):
        found, pause = [], threading.Event()

        def keep(value):
            pause.wait(0.02)  # until long after the workers have ended
            found.append(value)

        for i in range(20):
            self.pool.apply_async(square, (i,), callback=keep)
        self.pool.map_async(square, range(20, 30), callback=found.extend)
        self.pool.close()
        self.pool.join()

        self.assertEqual(sorted(found), [square(i) for i in range(30)])

    def test_an_imap_can_be_read_after_close(self):
        results = self.pool.imap(square, iter(range(200_000)))
        self.pool.close()

        self.assertEqual(sum(results), sum(map(square, range(200_000))))

    def test_a_list_given_to_imap_is_worked_on_without_a_reader(self):
        folder = str(self.folder)
        results = self.pool.imap(touch, [(folder, i) for i in range(300)])

        harness.wait_until(lambda: len(os.listdir(folder)) == 300)
        self.assertEqual(list(results), list(range(300)))

    def test_the_exception_of_an_unread_item_goes_with_its_imap(self):
        gate = str(self.folder) + "/gate"

        def refusals():
            gc.collect()
            return sum(issubclass(type(thing), pyhost.MarshalError) for thing in gc.get_objects())

        before = refusals()
        for imap in (self.pool.imap, self.pool.imap_unordered):
            results = imap(await_file, [gate, threading.Lock(), gate])
            self.assertEqual(refusals(), before + 1)
            del results
            self.assertEqual(refusals(), before)
        mark(gate)

        self.assertEqual(self.pool.apply(square, (3,)), 9)

    def test_what_is_closed_says_so(self):
        self.pool.close()

        for call in (lambda: self.pool.apply(square, (1,)), lambda: self.pool.map(square, []),
                     lambda: self.pool.imap(square, []), lambda: self.pool.__enter__()):
            with self.assertRaisesRegex(ValueError, "Pool not running"):
                call()

    def test_join_needs_a_pool_that_ends(self):
        with self.assertRaisesRegex(ValueError, "still running"):
            self.pool.join()

    def test_terminate_ends_what_runs_and_what_waits_without_callbacks(self):
        called = []
        running = self.pool.apply_async(nap, (60,), callback=called.append, error_callback=called.append)
        queued = self.pool.map_async(nap, [60] * 20)
        results = self.pool.imap(nap, itertools.repeat(60))
        begin = time.monotonic()
        self.pool.terminate()
        self.pool.join()

        self.assertLess(time.monotonic() - begin, 30)
        for get in (running.get, queued.get, results.next):
            with self.assertRaises(Exception) as caught:
                get(timeout=30)
            self.assertNotIsInstance(caught.exception, multiprocessing.TimeoutError)
        self.assertEqual(called, [])

    def test_a_pool_cannot_be_pickled(self):
        with self.assertRaisesRegex(NotImplementedError, "cannot be passed between processes"):
            pickle.dumps(self.pool)

    def test_a_pool_that_is_dropped_warns_and_finishes_what_it_has(self):
        pool = pyhost.Pool(1, start=self.start_method)
        result = pool.apply_async(nap, (0.1,))
        with self.assertWarnsRegex(ResourceWarning, "unclosed running multiprocessing pool"):
            del pool
            gc.collect()

        self.assertEqual(result.get(30), 0.1)


class Options(DriverCase):
    def test_arguments_are_checked_as_in_multiprocessing(self):
        for wrong, message in (((0,), "at least 1"), ((-1,), "at least 1"), ((1, 5), "initializer must be a callable"),
                               ((1, None, (), 0), "maxtasksperchild"), ((1, None, (), "2"), "maxtasksperchild")):
            with self.assertRaisesRegex((ValueError, TypeError), message):
                pyhost.Pool(*wrong)

    def test_a_context_says_the_start_method(self):
        for method in ("fork", "spawn", "forkserver"):
            with pyhost.Pool(1, context=multiprocessing.get_context(method)) as pool:
                self.assertEqual(pool.apply(square, (3,)), 9)
                self.assertEqual(pool._ctx.get_start_method(), method)

    def test_maxtasksperchild_counts_single_calls_and_chunks(self):
        with pyhost.Pool(2, maxtasksperchild=1) as pool:
            self.assertEqual(len({pool.apply(pid_of, (i,)) for i in range(6)}), 6)
            self.assertEqual(len(set(pool.imap(pid_of, range(6)))), 6)
            chunks = len(set(pool.map(pid_of, range(400), chunksize=100)))
            self.assertTrue(2 <= chunks <= 12, chunks)
            self.assertLessEqual(len(set(pool.map(pid_of, range(1000)))), 24)

    def test_a_chunk_may_be_larger_than_any_input(self):
        with pyhost.Pool(1) as pool:
            self.assertEqual(pool.map(square, [1, 2], 2**70), [1, 4])
            self.assertEqual(list(pool.imap(square, iter([1, 2]), 2**70)), [1, 4])

    def test_limits_are_those_of_executors(self):
        with pyhost.Pool(1, timeout=0.2, retries=0) as pool:
            with self.assertRaises(pyhost.TaskTimeout):
                pool.apply(nap, (60,))
            self.assertEqual(pool.map(square, [1, 2]), [1, 4])

    def test_initializers_prepare_each_worker(self):
        path = str(self.folder) + "/ran"
        with pyhost.Pool(2, mark, (path,)) as pool:
            pool.map(square, range(10))
            harness.wait_until(lambda: os.path.getsize(path) == 2)


class Programs(DriverCase):
    def run_dedented(self, text, *arguments):
        return self.run_python(textwrap.dedent(text), *arguments)

    def test_what_runs_when_the_interpreter_ends_is_killed(self):
        done = self.run_dedented("""
            import time, pyhost

            def forever(_):
                while True:
                    time.sleep(1)

            pool = pyhost.Pool(2)
            closed = pyhost.Pool(2)
            pool.apply_async(forever, (1,), callback=print)
            closed.map_async(forever, range(10))
            closed.close()
            print("end")
        """)

        self.assertEqual((done.status, done.out, done.err), (0, "end\n", ""))

    @unittest.skipIf((3, 12) <= sys.version_info < (3, 12, 2), "this Python starts no threads by then")
    def test_threads_may_use_a_pool_after_the_main_thread_ended(self):
        done = self.run_dedented("""
            import threading, pyhost

            def square(x):
                return x * x

            def work():
                threading.main_thread().join()
                for i in range(20):
                    pool.apply_async(square, (i,), callback=found.append).wait()
                print(sum(found), sum(pool.imap(square, range(100))))

            found = []
            pool = pyhost.Pool(2)
            threading.Thread(target=work).start()
        """)

        self.assertEqual((done.status, done.out, done.err), (0, "2470 328350\n", ""))

    def test_the_exit_functions_of_workers_run_on_close(self):
        path = str(self.folder) + "/log"
        done = self.run_dedented("""
            import atexit, sys, pyhost

            def begin(path):
                atexit.register(lambda: open(path, "a").write("bye\\n"))

            pool = pyhost.Pool(1, begin, (sys.argv[1],))
            pool.map(abs, range(10))
            pool.close()
            pool.join()
        """, path)

        self.assertEqual((done.status, done.err), (0, ""))
        with open(path) as file:
            self.assertEqual(file.read(), "bye\n")


if __name__ == "__main__":
    unittest.main()
