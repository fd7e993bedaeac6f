"""`@pyhost.task`, `pyhost.starmap`, `pyhost.as_completed`, and the default pool behind them."""

import copy
import inspect
import os
import pickle
import textwrap
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost


@pyhost.task
def scaled(value, by=2):
    """Scales a value."""
    return value * by


@pyhost.task(timeout=30)
def where():
    return os.getpid()


def through_the_name(value):
    return scaled(value)


@for_each_start
class Tasks(WithExecutor):
    def test_a_task_is_the_function_here_and_a_function_on_workers(self):
        self.assertEqual(scaled(3, by=3), 9)
        self.assertEqual(where(), os.getpid())
        self.assertEqual(self.call(scaled, 3), 6)
        self.assertNotEqual(self.call(where), os.getpid())
        self.assertEqual(list(self.executor.map(scaled, range(50))), list(range(0, 100, 2)))

    def test_functions_on_workers_call_tasks_by_their_name(self):
        self.assertEqual(self.call(through_the_name, 4), 8)

    def test_tasks_travel_as_arguments_and_results(self):
        self.assertEqual(self.call(lambda function: function(5), scaled), 10)
        self.assertIs(self.call(lambda: scaled), scaled)

    def test_local_tasks_travel_by_value(self):
        factor = 3

        @pyhost.task
        def local(value):
            return factor * value

        self.assertEqual(self.call(local, 2), 6)
        self.assertEqual(list(self.executor.map(local, [1, 2])), [3, 6])


class Decorated(DriverCase):
    def test_it_keeps_what_describes_the_function(self):
        self.assertEqual((scaled.__name__, scaled.__doc__, scaled.__module__),
                         ("scaled", "Scales a value.", __name__))
        self.assertEqual(str(inspect.signature(scaled)), "(value, by=2)")
        self.assertEqual(scaled.__wrapped__(4), 8)
        self.assertIn("scaled", repr(scaled))

    def test_it_pickles_by_its_name(self):
        self.assertIs(pickle.loads(pickle.dumps(scaled)), scaled)
        self.assertIs(copy.deepcopy(scaled), scaled)

    def test_it_refuses_what_is_not_a_function(self):
        self.assertRaisesRegex(TypeError, "`7` is not callable", pyhost.task, 7)
        self.assertRaisesRegex(TypeError, "stands above `@staticmethod`; put it below", pyhost.task,
                               staticmethod(scaled))
        self.assertRaisesRegex(TypeError, "unexpected keyword argument 'speed'", scaled.options, speed=3)

    def script_says(self, text, expected):
        result = self.run_python(textwrap.dedent(text))
        self.assertEqual((result.out.split("\n")[:-1], result.err, result.status), (expected, "", 0))

    def test_tasks_run_on_the_default_pool(self):
        self.script_says("""
            import os, time, pyhost

            @pyhost.task
            def double(value):
                return 2 * value

            @pyhost.task(timeout=0.2)
            def slow():
                time.sleep(20)

            class Account:
                def __init__(self, balance):
                    self.balance = balance

                @pyhost.task
                def after(self, years, rate=0):
                    return self.balance + years * rate

            print(double(2), double.submit(3).result(), list(double.map(range(4))), list(double.starmap([(5,), (6,)])))
            print(list(double.map([1, 2], buffersize=1)), double.options(timeout=20).submit("a").result())
            print(list(double.options(timeout=20).map([1])), list(double.options(retries=1).starmap([(3,)])))
            try:
                slow.submit().result()
            except pyhost.TaskTimeout:
                print("late")
            account = Account(100)
            print(account.after(1), Account.after.submit(account, 2, rate=5).result(), account.after.submit(3).result())
            print(list(account.after.map([1, 2], [10, 20])), account.after.options(timeout=9).submit(1).result())
            print(pyhost.submit(account.after, 7, rate=1).result(), pyhost.submit(os.getpid).result() != os.getpid())
        """, ["4 6 [0, 2, 4, 6] [10, 12]", "[2, 4] aa", "[2] [6]", "late", "100 110 100",
                 "[110, 140] 100", "107 True"])

    def test_limits_of_the_decorator_and_of_options_add_up(self):
        self.script_says("""
            import time, pyhost

            @pyhost.task(timeout=0.2, capture=True)
            def speak(seconds=0):
                print("spoken")
                time.sleep(seconds)

            @pyhost.task
            def whisper():
                print("whispered")

            for variant in speak, speak.options(retries=0), speak.options(timeout=0.1).options(retries=0):
                future = variant.options(timeout=20).submit()
                print(future.result(), repr(future.stdout))
                try:
                    variant.submit(20).result()
                except pyhost.TaskTimeout:
                    print("late")
            future = whisper.options(capture=True).options(timeout=20).submit()
            print(future.result(), repr(future.stdout))
        """, [r"None 'spoken\n'", "late"] * 3 + [r"None 'whispered\n'"])

    def test_a_task_may_use_tasks_on_workers_itself(self):
        self.script_says("""
            import pyhost

            @pyhost.task
            def leaf(value):
                return value + 1

            @pyhost.task
            def tree(values):
                return sum(leaf.map(values)) + leaf.submit(0).result()

            print(tree.submit([1, 2, 3]).result(), list(tree.map([[1], [2]])))
        """, ["10 [3, 4]"])

    def test_a_coroutine_function_is_a_task_too(self):
        self.script_says("""
            import asyncio, pyhost

            @pyhost.task
            async def soon(value):
                await asyncio.sleep(0)
                return value

            print(asyncio.run(soon(1)), soon.submit(2).result(), list(soon.map([3, 4])))
        """, ["1 2 [3, 4]"])

    def test_starmap_spreads_rows_and_reads_them_lazily(self):
        self.script_says("""
            import itertools, pyhost

            rows = pyhost.starmap(pow, ([2, i] for i in itertools.count()), buffersize=4)
            print([next(rows) for _ in range(5)], list(pyhost.starmap(max, [])))
            try:
                list(pyhost.starmap(pow, [(1, 2), 3]))
            except TypeError as error:
                print(error)
            print(list(pyhost.options(timeout=20).starmap(pow, [(2, 3)])))
        """, ["[1, 2, 4, 8, 16] []", "'int' object is not iterable", "[8]"])

    def test_as_completed_yields_what_is_done_first(self):
        self.script_says("""
            import concurrent.futures, time, pyhost

            slow, quick = pyhost.submit(time.sleep, 0.6), pyhost.submit(int, "7")
            print([future.result() for future in pyhost.as_completed([slow, quick, quick])])
            try:
                list(pyhost.as_completed([pyhost.options(grace=0).submit(time.sleep, 1)], timeout=0.01))
            except concurrent.futures.TimeoutError:  # until 3.10 not the built-in one
                print("late")
        """, ["[7, None]", "late"])

    def test_the_default_pool_stays_warm_and_ends_with_the_script(self):
        self.script_says("""
            import atexit, os, pyhost

            def pid(_=None):
                return os.getpid()

            most = len(os.sched_getaffinity(0))  # as many workers as a pool has; a second pool would have others
            pids = {pyhost.submit(pid).result() for _ in range(20)} | set(pyhost.map(pid, range(20)))
            pids |= {pyhost.submit(pid).result() for _ in range(20)}
            print(len(pids) <= most)
            left = pyhost.submit(pid)

            @atexit.register
            def look():
                pids.add(left.result())
                print(all(not os.path.exists(f"/proc/{worker}") for worker in pids), len(pids) <= most)
        """, ["True", "True True"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
