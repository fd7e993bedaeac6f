"""What goes to workers and comes back: arguments, results, exceptions, maps."""

import itertools
import os
import threading
import time
import unittest

import harness
from driver_case import WithExecutor, for_each_start, pyhost

try:
    import numpy
except ImportError:
    numpy = None


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and other.x == self.x

    def moved(self, by):
        return Point(self.x + by)


class Custom(Exception):
    pass


class NeedsTwo(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


class HoldsLock(Exception):
    def __init__(self, first):
        super().__init__(first)
        self.lock = threading.Lock()


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("inside __str__")


def echo(value):
    return value


def keywords(*args, **kwargs):
    return args, kwargs


def throw(exception_type, *args):
    raise exception_type(*args)


def stop_at_two(x):
    if x == 2:
        raise StopIteration("two")
    return x


def throw_from():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def unpicklable_result():
    return {"lock": threading.Lock()}


@for_each_start
class Calls(WithExecutor):
    def test_arguments_and_results_cross(self):
        for value in (None, True, 7, -2**80, 1.5, "text", "\u20ac", b"bytes", (1, [2, {"three": 3}]), {1, 2}, Point(4)):
            self.assertEqual(self.call(echo, value), value)

    def test_positional_and_keyword_arguments_arrive_as_given(self):
        future = self.executor.submit(keywords, 1, 2, timeout=3, fn=4, self=5)
        self.assertEqual(future.result(timeout=30), ((1, 2), {"timeout": 3, "fn": 4, "self": 5}))

    def test_instances_of_classes_of_main_come_back_as_that_class(self):
        moved = self.call(Point(1).moved, 2)

        self.assertIs(type(moved), Point)
        self.assertEqual(moved.x, 3)

    def test_builtins_and_classes_can_be_called(self):
        self.assertEqual(self.call(len, "four"), 4)
        self.assertEqual(self.call(Point, 5), Point(5))
        self.assertEqual(self.call("a,b".split, ","), ["a", "b"])

    def test_what_is_not_callable_is_refused_at_once(self):
        with self.assertRaisesRegex(TypeError, "not callable"):
            self.executor.submit(7)

    @unittest.skipIf(numpy is None, "no numpy")
    def test_arrays_cross_with_their_content(self):
        for count in (0, 10, 3_000_000):
            array = numpy.arange(count, dtype="f8")
            self.assertTrue(numpy.array_equal(self.call(echo, array), array))
            both = self.call(echo, {"a": array, "b": [array, array[::2]]})
            self.assertTrue(numpy.array_equal(both["b"][1], array[::2]))

    @unittest.skipIf(numpy is None, "no numpy")
    def test_large_arrays_are_read_only_as_documented(self):
        for size, is_large in (1000, False), (2048, False), (2049, True), (6000, True), (100_000, True):
            with self.subTest(size):
                array = numpy.ones(size)  # of 8 bytes
                writable = self.call(lambda array: (array.flags.writeable, array.copy().flags.writeable), array)

                self.assertEqual(writable, (not is_large, True))
                self.assertEqual(self.call(numpy.ones, size).flags.writeable, not is_large)
        for function in (pyhost.map, pyhost.submit, pyhost.Executor.map, pyhost.Executor.submit):
            self.assert_says(function.__doc__, "read-only", "`.copy()`")

    @unittest.skipIf(numpy is None, "no numpy")
    def test_an_argument_is_fixed_when_submit_returns(self):
        array = numpy.zeros(1_000_000)
        future = self.executor.submit(echo, array)
        array[:] = 1

        self.assertEqual(future.result(timeout=30).sum(), 0)

    def test_large_values_cross(self):
        value = ["x" * 1000] * 1000 + [bytes(5_000_000)]
        self.assertEqual(self.call(echo, value), value)


@for_each_start
class Exceptions(WithExecutor):
    def raised(self, function, *args):
        return self.executor.submit(function, *args).exception(timeout=30)

    def test_an_exception_arrives_as_itself_with_the_remote_traceback_chained(self):
        error = self.raised(throw, ValueError, "no such", 3)

        self.assertIs(type(error), ValueError)
        self.assertEqual(error.args, ("no such", 3))
        self.assert_says(str(error.__cause__), "Traceback (most recent call last)", "in throw", "ValueError: ")

    def test_an_exception_class_of_main_arrives_as_that_class(self):
        self.assertIs(type(self.raised(throw, Custom, 1)), Custom)

    def test_causes_are_in_the_remote_traceback(self):
        self.assert_says(str(self.raised(throw_from).__cause__), "KeyError: 'inner'", "direct cause", "ValueError: outer")

    def test_an_exception_with_an_odd_constructor_arrives_as_itself(self):
        error = self.raised(throw, NeedsTwo, 1, 2)

        self.assertIs(type(error), NeedsTwo)
        self.assertEqual((error.args, error.second), ((1,), 2))
        self.assert_says(str(error.__cause__), "in throw", "NeedsTwo: 1")

    def test_an_exception_that_cannot_be_rebuilt_arrives_described(self):
        error = self.raised(throw, HoldsLock, 1)

        self.assertIs(type(error), pyhost.RemoteError)
        self.assertTrue(error.type_name.endswith("HoldsLock"))
        self.assertEqual(error.message, "1")
        self.assertEqual(error.frames[-1]["function"], "throw")
        self.assert_says(error.traceback, "HoldsLock")

    def test_an_exception_whose_str_raises_arrives(self):
        self.assertIs(type(self.raised(throw, Unprintable)), Unprintable)

    def test_exits_and_interrupts_of_a_task_are_its_outcome(self):
        self.assertEqual(self.raised(throw, SystemExit, 3).code, 3)
        self.assertIs(type(self.raised(throw, KeyboardInterrupt)), KeyboardInterrupt)

    def test_an_argument_that_cannot_be_sent_fails_that_call_and_names_its_place(self):
        error = self.raised(echo, {"a": [1, threading.Lock()]})

        self.assertIsInstance(error, pyhost.MarshalError)
        self.assert_says(str(error), "`lock`", "$[0]['a'][1]")
        self.assertEqual(self.call(echo, 1), 1)

    def test_a_result_that_cannot_be_sent_fails_that_call_and_names_its_place(self):
        error = self.raised(unpicklable_result)

        self.assertIsInstance(error, pyhost.MarshalError)
        self.assertIsInstance(error, TypeError)
        self.assert_says(str(error), "`lock`", "['lock']")
        self.assertEqual(self.call(echo, 1), 1)


def wait_for(path, value):
    while not os.path.exists(path):
        time.sleep(0.001)
    return value


def square(x):
    return x * x


@for_each_start
class Maps(WithExecutor):
    def test_results_come_in_the_order_of_the_input(self):
        self.assertEqual(list(self.executor.map(echo, range(5000))), list(range(5000)))

    def test_several_inputs_end_with_the_shortest(self):
        self.assertEqual(list(self.executor.map(pow, [2, 3, 4], itertools.repeat(2))), [4, 9, 16])

    def test_no_input_gives_no_results(self):
        self.assertEqual(list(self.executor.map(echo, [])), [])

    def test_chunk_sizes_do_not_change_the_results(self):
        for size in (1, 7, 1000):
            self.assertEqual(list(self.executor.map(echo, range(100), chunksize=size)), list(range(100)))

    def test_starmap_spreads_rows_over_the_arguments(self):
        self.assertEqual(list(self.executor.starmap(pow, [(2, 5), (3, 2)], timeout=30)), [32, 9])
        results = self.executor.starmap(pow, ((2, i) for i in itertools.count()), buffersize=2)
        self.assertEqual([next(results) for _ in range(3)], [1, 2, 4])
        results.close()

    def test_sizes_that_are_none_are_refused_everywhere(self):
        limited, task = self.executor.options(timeout=20), pyhost.task(square)
        for start in (self.executor.map, limited.map, pyhost.map, lambda _, *rest, **more: task.map(*rest, **more),
                      self.executor.starmap, limited.starmap, pyhost.starmap):
            for name in ("chunksize", "buffersize"):
                for value in (0, -1):
                    with self.assertRaisesRegex(ValueError, f"^{name} must be .*, and is {value}$"):
                        start(square, [1], **{name: value})
                for value in ("foo", 2.0):
                    with self.assertRaisesRegex(TypeError, f"^{name} must be an integer or None, and is `{value!r}`$"):
                        start(square, [1], **{name: value})

    def test_sizes_may_be_larger_than_any_input(self):
        self.assertEqual(list(self.executor.map(square, [3], chunksize=2**32, buffersize=2**40)), [9])

    def test_no_iterables_are_an_empty_input_everywhere(self):
        task = pyhost.task(square)
        for start in (self.executor.map, self.executor.options(timeout=20).map, pyhost.map,
                      lambda _: task.map(), lambda _: task.options(timeout=20).map()):
            self.assertEqual(list(start(square)), [])

    def test_an_endless_input_is_read_lazily(self):
        pulled = itertools.count()
        results = self.executor.map(echo, pulled, buffersize=50)

        self.assertEqual(list(itertools.islice(results, 10)), list(range(10)))
        self.assertLessEqual(next(pulled), 61)
        results.close()

    def test_the_buffer_is_kept_full_however_long_calls_take(self):
        gate = self.folder / "gate"
        self.addCleanup(gate.touch)
        for chunksize in 1, 7:
            with self.subTest(chunksize):
                gate.unlink(missing_ok=True)
                pulled = itertools.count()
                results = self.executor.map(wait_for, itertools.repeat(str(gate)), pulled, buffersize=1000,
                                            chunksize=chunksize)

                ahead = next(pulled)
                self.assertTrue(990 < ahead <= 1000, ahead)
                gate.touch()
                for _ in range(500):
                    next(results)
                self.assertGreater(next(pulled), ahead + 500 - 1000 // 8)
                results.close()

    def test_an_impossible_buffersize_is_refused_at_once(self):
        for buffersize, error in (0, ValueError), (-1, ValueError), (2.0, TypeError), ("all", TypeError):
            with self.subTest(buffersize), self.assertRaisesRegex(error, "buffersize must be"):
                self.executor.map(echo, range(3), buffersize=buffersize)

    def test_a_reader_that_stops_holds_the_input_back(self):
        pulled = itertools.count()
        results = self.executor.map(echo, pulled, buffersize=1000)
        next(results)
        first = next(pulled)

        self.assertEqual(self.call(echo, 1), 1)

        self.assertEqual(next(pulled), first + 1)
        results.close()

    def test_an_exception_comes_at_its_place_and_ends_the_map(self):
        results = self.executor.map(lambda x: 1 // (x - 3), range(10))

        self.assertEqual([next(results), next(results), next(results)], [-1, -1, -1])
        self.assertRaises(ZeroDivisionError, next, results)
        self.assertRaises(StopIteration, next, results)

    def test_a_stop_iteration_of_an_item_is_an_exception_and_no_end(self):
        for results in (self.executor.map(stop_at_two, range(5)),
                        self.executor.map(stop_at_two, iter(range(5)), buffersize=9),
                        self.executor.starmap(stop_at_two, zip(range(5))),
                        self.executor.options(timeout=60).map(stop_at_two, range(5), chunksize=5)):
            self.assertEqual([next(results), next(results)], [0, 1])
            with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration") as caught:
                next(results)
            self.assertEqual(caught.exception.__cause__.args, ("two",))
            self.assertRaises(StopIteration, next, results)

    def test_the_whole_input_is_read_and_run_though_nobody_reads_the_results(self):
        path, seen = self.folder / "lines", []
        with open(path, "w"):
            results = self.executor.map(append_line, (str(path) for _ in range(3000)), map(seen.append, range(3000)))

        self.assertEqual(len(seen), 3000)
        harness.wait_until(lambda: len(path.read_text().splitlines()) == 3000, what="all of it to be run")
        results.close()

    def test_an_exception_of_an_input_that_is_read_at_once_is_raised_by_map(self):
        path = self.folder / "lines"

        def inputs():
            yield 1
            raise LookupError("input is broken")

        self.assertRaisesRegex(LookupError, "input is broken", self.executor.map, append_line, [str(path)] * 2, inputs())

        harness.wait_until(lambda: path.exists() and path.read_text() == "1\n", what="what was submitted before")

    def test_an_exception_of_the_input_comes_behind_the_results_before_it(self):
        def inputs():
            yield 1
            yield 2
            raise LookupError("input is broken")

        results = self.executor.map(echo, inputs(), buffersize=10)

        self.assertEqual([next(results), next(results)], [1, 2])
        self.assertRaisesRegex(LookupError, "input is broken", next, results)

    def test_an_item_that_cannot_be_sent_comes_behind_the_results_before_it(self):
        results = self.executor.map(echo, [1, threading.Lock(), 3])

        self.assertEqual(next(results), 1)
        self.assertRaises(pyhost.MarshalError, next, results)

    @unittest.skipIf(numpy is None, "no numpy")
    def test_arrays_and_small_items_mix(self):
        items = [1, numpy.ones(100_000), 2, 3, numpy.ones(200_000), numpy.ones(1)]
        results = list(self.executor.map(numpy.sum, items))

        self.assertEqual(results, [1, 100_000, 2, 3, 200_000, 1])

    def test_shutdown_runs_a_map_that_nobody_reads(self):
        path = self.folder / "lines"
        self.executor.map(append_line, [str(path)] * 5000, range(5000))
        self.executor.shutdown()

        self.assertEqual(len(path.read_text().splitlines()), 5000)

    def test_results_are_read_after_the_executor_was_left(self):
        with pyhost.Executor(2, start=self.start_method) as executor:
            unread, large = executor.map(abs, range(5)), executor.map(abs, range(20_000))
            of_generator = executor.map(abs, (i for i in range(5)))
            begun = executor.map(abs, range(20_000))
            next(begun)

        self.assertEqual(list(unread), [0, 1, 2, 3, 4])
        self.assertEqual(list(large), list(range(20_000)))
        self.assertEqual(list(of_generator), [0, 1, 2, 3, 4])
        self.assertEqual(list(begun), list(range(1, 20_000)))

    def test_results_are_read_after_a_shutdown_that_does_not_wait(self):
        results = self.executor.map(echo, range(3000))
        self.executor.shutdown(wait=False)

        self.assertEqual(list(results), list(range(3000)))

    def test_an_iterator_outlives_its_executor(self):
        for inputs in (range(3000), (i for i in range(3000))):
            results = pyhost.Executor(1, start=self.start_method).map(echo, inputs)
            self.assertEqual(list(results), list(range(3000)))

    def test_a_map_of_a_dropped_executor_and_iterator_is_finished(self):
        path = self.folder / "lines"
        executor = pyhost.Executor(1, start=self.start_method)
        executor.map(append_line, [str(path)] * 1000, range(1000))
        last = executor.submit(echo, 1)
        del executor

        self.assertEqual(last.result(timeout=30), 1)
        self.assertEqual(len(path.read_text().splitlines()), 1000)

    def test_an_endless_input_is_cut_by_shutdown_and_says_so(self):
        with pyhost.Executor(2, start=self.start_method) as executor:
            results = executor.map(echo, itertools.count(), buffersize=1000)
            executor.shutdown()
        seen = []
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            for value in results:
                seen.append(value)

        self.assertGreater(len(seen), 1)
        self.assertEqual(seen, list(range(len(seen))))

    def test_shutdown_waits_for_a_map_that_another_thread_reads(self):
        results, seen = self.executor.map(echo, range(5000)), []
        reader = threading.Thread(target=lambda: seen.extend(results))
        reader.start()
        self.executor.shutdown()
        reader.join(30)

        self.assertEqual(seen, list(range(5000)))

    def test_shutdown_does_not_wait_for_a_thread_that_reads_without_an_end(self):
        begun, enough = threading.Event(), threading.Event()

        def inputs():
            while not enough.is_set():
                for _ in range(1000):  # keeps the interpreter busy, and so the iterator
                    pass
                yield 1

        def read():
            with self.assertRaisesRegex(RuntimeError, "after shutdown"):
                for _ in self.executor.map(echo, inputs(), buffersize=4):
                    begun.set()

        reader, closer = threading.Thread(target=read), threading.Thread(target=self.executor.shutdown)
        reader.start()
        begun.wait(30)
        closer.start()
        closer.join(20)
        ended = not closer.is_alive()
        enough.set()

        self.assertTrue(ended)
        reader.join(30)
        closer.join(30)


def append_line(path, number):
    with open(path, "a") as file:
        file.write(f"{number}\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
