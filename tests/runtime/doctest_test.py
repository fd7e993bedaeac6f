"""The documentation strings of what users see: there, with an example where there is something to show, and true.

The examples run as one script, which has what a user would have imported, an `executor` and a `pool`.
"""

import importlib.util
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "driver"))

from driver_case import DriverCase, pyhost  # noqa: E402

RUNNER = """
import asyncio, doctest, math, os, sys, threading, time, types
import pyhost, pyhost.aio

executor = pyhost.Executor(2)
pool = pyhost.Pool(2)
list(executor.map(abs, range(10))), pool.map(abs, range(10))

def documented():
    yield "pyhost", pyhost
    for module in pyhost, pyhost.aio:
        for name in getattr(module, "__all__", ("__doc__", "run", "map")):
            yield f"{module.__name__}.{name}", module if name == "__doc__" else getattr(module, name)
    yield "pyhost.AsyncResult", type(pool.apply_async(abs, (1,)))
    yield "pyhost.MapResult", type(pool.map_async(abs, [1]))

def members(name, thing):
    yield name, thing.__doc__
    if isinstance(thing, type):
        for member in thing.__mro__:
            if member.__module__.startswith(("pyhost", "_pyhost")):
                for key, value in vars(member).items():
                    if not key.startswith("_"):
                        yield f"{name}.{key}", getattr(value, "__doc__", None)

# One namespace that is the script's: functions of the examples are functions of `__main__`.
parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
without_joblib = "joblib" in sys.argv  # it is not there
for name, thing in documented():
    for path, text in members(name, thing):
        if not (path == "pyhost.register_joblib" and without_joblib):
            runner.run(parser.get_doctest(text or "", globals(), path, None, 0), clear_globs=False)
        print("ran", path, runner.failures, runner.tries)
pool.terminate()
executor.shutdown()
sys.exit(runner.failures > 0)
"""


class Documentation(DriverCase):
    def members(self):
        """(path, what it is, its documentation) of what users see."""
        for name in pyhost.__all__:
            if name == "__version__":
                continue
            thing = getattr(pyhost, name)
            yield name, thing, thing.__doc__
            if not isinstance(thing, type) or issubclass(thing, BaseException):
                continue
            for cls in thing.__mro__:
                if cls.__module__.startswith(("pyhost", "_pyhost")):
                    for key, value in vars(cls).items():
                        if not key.startswith("_") and callable(value):
                            yield f"{name}.{key}", value, value.__doc__

    def test_everything_is_documented(self):
        self.assertEqual([path for path, _, text in self.members() if not (text or "").strip()], [])

    def test_everything_that_can_be_shown_has_an_example(self):
        without = [path for path, thing, text in self.members() if ">>> " not in (text or "")
                   and not (isinstance(thing, type) and issubclass(thing, BaseException))]

        self.assertEqual(without, [])

    def test_the_examples_are_true(self):
        arguments = [] if importlib.util.find_spec("joblib") else ["joblib"]
        outcome = self.run_python(RUNNER, *arguments, timeout=100)

        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)
        self.assert_says(outcome.out, "ran pyhost.Executor.map", "ran pyhost.Pool.map", "ran pyhost.Limited.map",
                         "ran pyhost.aio.run", "ran pyhost.MapResult")


if __name__ == "__main__":
    unittest.main(verbosity=2)
