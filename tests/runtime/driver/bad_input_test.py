"""What cannot cross fails its own call, says which part of it is to blame, and never hangs."""

import functools
import sys
import threading
import unittest

import hostile
from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

# name of a class -> the path to what is to blame, and what it said
UNSENDABLE = {
    "RaisesInReduce": ("`RaisesInReduce` at $", "LookupError: reduce says no"),
    "ReducesToNonsense": ("`ReducesToNonsense` at $", "must be callable"),
    "RaisesInGetstate": ("`RaisesInGetstate` at $", "LookupError: getstate says no"),
    "RaisesInGetattr": ("`RaisesInGetattr` at $", "says no"),
    "Slots": ("`lock` at $", ".lock: "),
    "State": ("`lock` at $", ".kept[0]: "),
    "Deque": ("`lock` at $", ".queue[1]: "),
    "growing": ("`dict` at $", "changed size"),
    "generate": ("`generator` at $", "send a list of what it yields"),
}
# ... and those that only fail where they arrive.
UNREADABLE = {
    "RaisesInSetstate": ("cannot rebuild", "LookupError: setstate says no"),
    "RebuildsWrongly": ("cannot rebuild", "ValueError: invalid literal"),
}


class WithHostileValues(WithExecutor):
    workers = 1

    def setUp(self):
        sys.path.insert(0, hostile.__file__.rpartition("/")[0])  # workers import it
        self.addCleanup(sys.path.pop, 0)
        super().setUp()

    def failure(self, function, *args, **kwargs):
        return self.executor.submit(function, *args, **kwargs).exception(timeout=30)

    def assert_usable(self):
        self.assertEqual(self.call(hostile.echo, 1), 1)


@for_each_start
class Values(WithHostileValues):
    def test_arguments_fail_their_call_and_name_the_culprit(self):
        for name, parts in {**UNSENDABLE, **UNREADABLE}.items():
            with self.subTest(name):
                error = self.failure(hostile.echo, hostile.make(name))

                self.assertIsInstance(error, pyhost.MarshalError)
                self.assert_says(str(error), *parts)
        self.assert_usable()

    def test_keyword_arguments_do_so_too(self):
        error = self.failure(hostile.echo, value={"inner": [hostile.Slots()]})

        self.assert_says(str(error), "['inner'][0].lock")

    def test_what_a_partial_holds_is_looked_through(self):
        for partial, place in ((functools.partial(hostile.echo, {"one": hostile.Slots()}), ".args[0]['one'].lock"),
                               (functools.partial(hostile.echo, value=hostile.Slots()), ".keywords['value'].lock")):
            self.assert_says(str(self.failure(partial)), "`lock` at $", place)
            self.assert_says(str(self.failure(hostile.echo, [partial])), f"`lock` at $[0][0]{place}")

    def test_results_fail_their_call_and_name_the_culprit(self):
        for name, parts in {**UNSENDABLE, **UNREADABLE}.items():
            with self.subTest(name):
                error = self.failure(hostile.make, name)

                self.assertIsInstance(error, pyhost.MarshalError)
                self.assert_says(str(error), *parts)
        self.assert_usable()

    def test_items_of_a_map_do_so_at_their_place(self):
        results = self.executor.map(hostile.echo, [1, hostile.Slots(), 3])

        self.assertEqual(next(results), 1)
        with self.assertRaisesRegex(pyhost.MarshalError, r"`lock` at \$.*\.lock"):
            next(results)
        results = self.executor.map(hostile.make, ["deep", "Slots"], [3, 3])
        self.assertEqual(next(results), [[[[]]]])
        self.assertRaises(TypeError, next, results)  # `Slots` takes no 3
        self.assert_usable()

    def test_too_deep_values_are_refused_in_both_directions(self):
        for error in self.failure(hostile.echo, hostile.deep(100_000)), self.failure(hostile.make, "deep", 100_000):
            self.assertIsInstance(error, pyhost.MarshalError)
            self.assert_says(str(error), "`list` at $", "recursion")
        self.assert_usable()

    def test_endless_recursion_is_an_exception_of_the_call(self):
        self.assertIsInstance(self.failure(hostile.recurse, 0), RecursionError)
        self.assert_usable()

    def test_a_del_that_raises_disturbs_nothing(self):
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        self.addCleanup(setattr, sys, "unraisablehook", hook)

        self.assertIsInstance(self.call(hostile.make, "RaisesInDel"), hostile.RaisesInDel)
        self.assertIsInstance(self.call(hostile.echo, hostile.RaisesInDel()), hostile.RaisesInDel)
        self.assert_usable()


@for_each_start
class Exceptions(WithHostileValues):
    def test_one_that_holds_what_cannot_be_sent_says_where(self):
        error = self.failure(hostile.throw, "Holding", "the text")

        self.assertIs(type(error), pyhost.RemoteError)
        self.assertEqual((error.type_name, error.message), ("hostile.Holding", "the text"))
        self.assert_says(error.reason, "`lock` at $.lock: ")
        self.assert_says(str(error), "hostile.Holding: the text", error.reason)
        self.assert_says(str(error.__cause__), "in throw")

    def test_one_with_a_demanding_constructor_arrives_as_itself(self):
        error = self.failure(hostile.throw, "Demanding", 1, second=2)

        self.assertIs(type(error), hostile.Demanding)
        self.assertEqual(str(error), "1 and 2")

    def test_one_without_text_arrives_as_itself(self):
        self.assertIs(type(self.failure(hostile.throw, "Mute")), hostile.Mute)

    @unittest.skipIf(sys.version_info < (3, 11), "no exception groups")
    def test_a_group_says_which_member_is_to_blame(self):
        error = self.failure(raise_group)

        self.assertIs(type(error), pyhost.RemoteError)
        self.assert_says(error.reason, "`lock` at $.args[1][1].lock")


def raise_group():
    import builtins
    raise builtins.ExceptionGroup("both", [ValueError(1), hostile.Holding(2)])


class Initializers(DriverCase):
    """One that fails is told once to each call, and never tried in a loop."""

    def failures(self, body):
        outcome = self.run_python(f"""
import os, sys, time, pyhost
def prepare(): {body}
for start in "fork", "zygote":
    begin = time.monotonic()
    with pyhost.Executor(2, start=start, initializer=prepare) as executor:
        errors = {{str(executor.submit(abs, i).exception(timeout=30)).splitlines()[0] for i in range(5)}}
        try:
            list(executor.map(abs, [1]))
        except pyhost.StartupError as error:
            errors.add(str(error).splitlines()[0])
    print(len(errors), *errors)
    assert time.monotonic() - begin < 30
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)
        lines = outcome.out.splitlines()
        self.assertEqual(len(lines), 2)
        return lines

    def test_one_that_raises(self):
        for line in self.failures("raise LookupError('nothing there')"):
            self.assert_says(line, "1 the initializer `prepare` failed in worker ", "LookupError: nothing there")

    def test_one_that_ends_its_worker(self):
        for line in self.failures("os._exit(3)"):
            self.assert_says(line, "1 worker ", "exited with status 3 in the initializer `prepare`")

    def test_one_that_kills_its_worker(self):
        for line in self.failures("os.kill(os.getpid(), 9)"):
            self.assert_says(line, "1 worker ", "killed by SIGKILL in the initializer `prepare`")

    def test_arguments_of_it_that_cannot_be_sent_are_named(self):
        with pyhost.Executor(1, start="zygote", initializer=print, initargs=({"key": threading.Lock()},)) as executor:
            error = executor.submit(abs, 1).exception(timeout=30)

        self.assertIsInstance(error, pyhost.MarshalError)
        self.assert_says(str(error), "`lock` at $", "[0]['key']: ")


class Names(DriverCase):
    def test_one_that_is_misspelt_is_told_with_the_closest(self):
        with self.assertRaisesRegex(AttributeError, "no attribute 'Executr'; did you mean `Executor`"):
            pyhost.Executr

        self.assertFalse(hasattr(pyhost, "xyz"))


class DefaultPool(DriverCase):
    def test_what_cannot_be_sent_is_the_same_on_the_default_pool(self):
        outcome = self.run_python("""
import threading, pyhost
def echo(x): return x
class Holder:
    def __init__(self): self.inner = [threading.Lock()]
try:
    list(pyhost.map(echo, [1, Holder()]))
except pyhost.MarshalError as error:
    print(error)
print(pyhost.submit(echo, Holder()).exception())
print(pyhost.submit(Holder).exception())
with pyhost.Pool(1) as pool:
    for attempt in lambda: pool.apply(echo, (Holder(),)), lambda: pool.map(echo, [Holder()]), lambda: pool.apply(Holder):
        try:
            attempt()
        except Exception as error:
            print(error)
print(pyhost.submit(echo, 1).result())
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)
        *failures, last = outcome.out.splitlines()
        self.assertEqual((len(failures), last), (6, "1"))
        for line in failures:
            self.assert_says(line, "`lock`", ".inner[0]")


if __name__ == "__main__":
    unittest.main(verbosity=2)
