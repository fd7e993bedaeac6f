"""Limits of calls and workers, as they are given in Python."""

import concurrent.futures.process
import unittest

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

from pyhost import _limits, _settings


def echo(value):
    return value


def keywords(**kwargs):
    return kwargs


def never_return(value=None):
    while True:
        pass


def fail_until(path, times, error):
    """Raises until it was called so often."""
    with open(path, "a+") as file:
        file.write("x")
        file.flush()
        file.seek(0)
        if len(file.read()) <= times:
            raise error
    return "done"


class Parsing(DriverCase):
    def test_sizes_are_bytes_or_text_with_a_unit_of_1024(self):
        for given, expected in ((4096, 4096), ("4096", 4096), ("1K", 1024), ("512M", 2**29), ("1.5 GiB", 3 * 2**29),
                                ("2gb", 2**31), ("1T", 2**40), (None, None)):
            self.assertEqual(_limits.size("memory", given), expected, given)
        for given in ("", "M", "-1G", "1X", "nan", "inf", 0, -1):
            self.assertRaisesRegex(ValueError, "memory is", _limits.size, "memory", given)

    def test_times_are_seconds_above_zero(self):
        self.assertEqual(_limits.seconds("timeout", 2), 2.0)
        for given in (0, -1, float("nan")):
            self.assertRaisesRegex(ValueError, "timeout is", _limits.seconds, "timeout", given)
        for given in ("2", True, []):
            self.assertRaisesRegex(TypeError, "expected seconds", _limits.seconds, "timeout", given)

    def test_causes_are_named_as_the_engine_knows_them(self):
        class Own(Exception):
            pass

        self.assertEqual(_limits.causes(OSError), ("OSError",))
        self.assertEqual(_limits.causes((KeyError, Own)),
                         ("KeyError", f"{__name__}.Parsing.test_causes_are_named_as_the_engine_knows_them.<locals>.Own"))
        self.assertEqual(_limits.causes(["crashed", "ValueError", "package.Error"]),
                         ("crashed", "ValueError", "package.Error"))
        self.assertEqual(_limits.causes(Exception), _limits.KINDS)
        self.assertIn("timeout", _limits.causes(TimeoutError))
        self.assertIn("memory", _limits.causes(pyhost.TaskMemoryError))
        self.assertIn("crashed", _limits.causes(concurrent.futures.process.BrokenProcessPool))
        self.assertNotIn("crashed", _limits.causes(RuntimeError))
        self.assertRaisesRegex(ValueError, "`crash`; expected .* crashed", _limits.causes, "crash")
        self.assertRaisesRegex(TypeError, "no exception", _limits.causes, int)

    def test_a_range_of_workers_is_two_numbers(self):
        self.assertEqual(_limits.workers(3), (3, 3))
        self.assertEqual(_limits.workers((1, 3)), (1, 3))
        for given in ((3, 1), (1, 2, 3), (1, 0), 0):
            self.assertRaisesRegex(ValueError, "max_workers (is|must be)", _limits.workers, given)

    def test_what_run_was_told_is_the_default(self):
        self.addCleanup(setattr, _settings, "_options", _settings._options)
        _settings._options = {"workers": 4, "min_workers": 1, "timeout": 2.5, "retries": 1, "retry_on": ["crashed"],
                              "memory": 2**30, "concurrency": 8, "max_tasks_per_worker": 100}
        settings = _settings.for_engine(limits={"retries": 3})

        self.assertEqual(settings.limits, {"timeout": 2.5, "retries": 3, "retry_on": ("crashed",)})
        self.assertEqual({name: settings.workers[name] for name in ("workers", "min_workers", "memory", "concurrency")},
                         {"workers": 4, "min_workers": 1, "memory": 2**30, "concurrency": 8})
        self.assertEqual(_settings.for_engine(2).workers["min_workers"], 2)

    def test_wrong_limits_are_refused_with_the_value(self):
        for options, words in (({"timeout": 0}, "timeout is 0"), ({"retries": -1}, "retries is -1"),
                               ({"memory": "much"}, "memory is `much`"), ({"concurrency": 0}, "concurrency is 0"),
                               ({"max_tasks_per_child": 0}, "max_tasks_per_child is 0"), ({"grace": -1}, "grace is -1")):
            self.assertRaisesRegex(ValueError, words, pyhost.Executor, 1, **options)


@for_each_start
class Options(WithExecutor):
    def test_limits_do_not_collide_with_keywords_of_the_function(self):
        limited = self.executor.options(timeout=20, retries=1)

        self.assertEqual(limited.submit(keywords, timeout=1, retries=2, memory=3).result(timeout=30),
                         {"timeout": 1, "retries": 2, "memory": 3})

    def test_a_limit_holds_for_the_calls_made_through_it(self):
        stuck = self.executor.options(timeout=0.2).submit(never_return)
        others = [self.executor.submit(echo, i) for i in range(10)]

        self.assertIs(type(stuck.exception(timeout=30)), pyhost.TaskTimeout)
        self.assertEqual([other.result(timeout=30) for other in others], list(range(10)))

    def test_a_limit_holds_for_each_item_of_a_map(self):
        results = self.executor.options(timeout=0.2).map(never_return, range(2))

        self.assertRaises(pyhost.TaskTimeout, next, results)

    def test_options_add_up(self):
        limited = self.executor.options(timeout=5).options(retries=2).options(timeout=7)

        self.assertEqual(limited._given, {"timeout": 7.0, "retries": 2})


if __name__ == "__main__":
    unittest.main(verbosity=2)
