"""Functions of the script itself: how they reach workers, and that what changed is seen."""

import functools
import os
import threading
import unittest

from driver_case import WithExecutor, for_each_start, pyhost

FACTOR = 2
LOCK = threading.Lock()


def scaled(value):
    return value * FACTOR


def locked(value):
    with LOCK:
        return value * FACTOR


def scaled_twice(value):
    return scaled(scaled(value))


def rebound(value):
    return "first", value


LATE = """
import typing
@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

@functools.singledispatch
def describe(value):
    return "something"

@describe.register(int)
def _(value):
    return "int"

@describe.register(list)
def _(value):
    return "list of " + describe(value[0])

class Named:
    def __init__(self, name):
        self.__name__ = name
    def __reduce__(self):
        return self.__name__

DEPTH = Named("DEPTH")
KIND = typing.TypeVar("KIND")

def call_cache():
    return fibonacci(10)

def give_cache():
    return fibonacci
"""


class Counter:
    def __init__(self):
        self.count = 0

    def __call__(self):
        return self.count


class Tally:
    def __init__(self, ballast):
        self.ballast = b"x" * ballast
        self.count = 0

    def add(self, _):
        self.count += 1
        return self.count


class Shape:
    def area(self):
        return 1


def area_of(shape_type):
    return shape_type().area()


def remember(folder):
    with open(os.path.join(folder, str(os.getpid())), "a") as file:
        file.write("x")


def fail_to_start():
    raise OSError("no licence")


@for_each_start
class Functions(WithExecutor):
    def setUp(self):
        super().setUp()
        self.addCleanup(globals().update, FACTOR=FACTOR, rebound=rebound, Shape=Shape)

    def test_functions_of_the_script_need_no_guard(self):
        self.assertEqual(self.call(scaled, 21), 42)

    def test_a_callable_with_state_starts_anew_in_each_call_of_a_map(self):
        for run in (self.executor.map, self.executor.options(timeout=30).map):
            self.assertEqual(list(run(Tally(0).add, range(5))), [1] * 5)

    def test_workers_keep_one_whose_state_is_large(self):
        with pyhost.Executor(1, start=self.start_method) as executor:
            self.assertEqual(list(executor.map(Tally(100_000).add, range(5))), [1, 2, 3, 4, 5])

    def test_lambdas_and_closures_cross(self):
        outer = 10

        def inner(value):
            return value + outer

        self.assertEqual(self.call(lambda: "lambda"), "lambda")
        self.assertEqual([self.call(inner, i) for i in range(3)], [10, 11, 12])
        self.assertEqual(list(self.executor.map(lambda x: x + outer, range(3))), [10, 11, 12])

    def test_a_closure_whose_variable_changed_is_sent_again(self):
        outer = 1

        def inner():
            return outer

        self.assertEqual([self.call(inner), self.call(inner)], [1, 1])
        outer = 2
        self.assertEqual([self.call(inner), self.call(inner)], [2, 2])

    def test_a_rebound_global_is_seen_by_the_next_call(self):
        global FACTOR
        self.assertEqual(self.call(scaled, 1), 2)
        FACTOR = 5
        self.assertEqual(self.call(scaled, 1), 5)
        self.assertEqual(self.call(scaled_twice, 1), 25)
        FACTOR = 2
        self.assertEqual(self.call(scaled_twice, 1), 4)

    def test_a_rebound_function_is_seen_by_the_next_call(self):
        self.assertEqual(self.call(rebound, 1), ("first", 1))
        globals()["rebound"] = lambda value: ("second", value)
        self.assertEqual(self.call(rebound, 1), ("second", 1))

    def test_a_function_that_appeared_after_the_workers_started_is_found(self):
        self.call(scaled, 1)
        exec("def appeared(value):\n    return value * FACTOR * 100", globals())
        self.assertEqual(self.call(globals()["appeared"], 1), 200)

    def test_a_function_that_takes_its_globals_along_says_why(self):
        if self.start_method != "fork":
            self.skipTest("workers have nothing of this script")
        global FACTOR
        self.assertEqual(self.call(locked, 21), 42)
        FACTOR = 5
        error = self.executor.submit(locked, 1).exception(timeout=30)

        self.assertIsInstance(error, pyhost.MarshalError)
        self.assert_says(str(error), "`lock` at $.LOCK", "`locked` is sent by value",
                         "`FACTOR` was rebound after the pool started; pass `FACTOR` as an argument")

    def test_caches_and_dispatchers_that_appeared_later_cross(self):
        self.call(scaled, 1)
        before = set(globals())
        exec(LATE, globals())
        late = {name: globals()[name] for name in set(globals()) - before}
        for name in late:
            self.addCleanup(globals().pop, name)

        self.assertEqual(self.call(late["fibonacci"], 60), 1548008755920)
        self.assertEqual(list(self.executor.map(late["fibonacci"], range(5))), [0, 1, 1, 2, 3])
        self.assertEqual(self.call(late["call_cache"]), 55)
        self.assertIs(self.call(late["give_cache"]), late["fibonacci"])
        self.assertEqual([self.call(late["describe"], x) for x in (1, "", [1])], ["int", "something", "list of int"])
        self.assertEqual(self.call(lambda kind: kind.__name__, late["KIND"]), "KIND")
        error = self.executor.submit(lambda x: x, late["DEPTH"]).exception(timeout=30)
        self.assertIsInstance(error, pyhost.MarshalError)
        self.assert_says(str(error), "cannot send `DEPTH`", "after the pool started", "put it into a module")

    def test_a_cache_that_is_sent_keeps_its_size_and_whether_it_tells_types_apart(self):
        @functools.lru_cache(maxsize=7, typed=True)
        def cached(value):
            return value

        self.assertEqual(self.call(lambda: cached.cache_parameters()), {"maxsize": 7, "typed": True})

    def test_a_class_that_was_rebound_is_seen(self):
        self.assertEqual(self.call(area_of, Shape), 1)

        class Shape2:
            def area(self):
                return 2

        Shape2.__qualname__ = "Shape"
        globals()["Shape"] = Shape2
        self.assertEqual(self.call(area_of, Shape2), 2)

    def test_sending_a_class_by_value_does_not_change_it(self):
        class Local:
            def method(self):
                return 1

        before = Local.method
        self.assertIs(type(self.call(lambda x: x, Local())), Local)
        self.assertIs(Local.method, before)

    def test_state_of_callables_is_that_of_the_moment_of_the_call(self):
        counter = Counter()
        seen = []
        for counter.count in range(3):
            seen.append(self.call(counter))
        self.assertEqual(seen, [0, 1, 2])

    def test_partials_and_bound_methods_cross(self):
        self.assertEqual(self.call(functools.partial(pow, 2), 5), 32)
        self.assertEqual(list(self.executor.map(functools.partial(pow, 2), range(4))), [1, 2, 4, 8])

    def test_many_lambdas_are_not_kept(self):
        futures = [self.executor.submit(lambda i=i: i) for i in range(300)]
        self.assertEqual([future.result(timeout=30) for future in futures], list(range(300)))
        del futures

        self.assertLess(len(self.executor._engine._functions.known), 20)

    def test_the_initializer_runs_once_per_worker(self):
        with pyhost.Executor(2, None, remember, (str(self.folder),), start=self.start_method) as executor:
            list(executor.map(scaled, range(1000)))

        for path in self.folder.iterdir():
            self.assertEqual(path.read_text(), "x")

    def test_an_initializer_that_raises_fails_the_tasks(self):
        with pyhost.Executor(1, initializer=fail_to_start, start=self.start_method) as executor:
            self.assertRaisesRegex(pyhost.StartupError, "no licence", executor.submit(scaled, 1).result)


if __name__ == "__main__":
    unittest.main(verbosity=2)
