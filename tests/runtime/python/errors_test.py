"""Exceptions as they cross the wire: in words, bounded, and as objects where that works."""

import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import textwrap
import traceback
import types
import unittest

import core_module

core = core_module.load()


def payload_of(exception, with_pickle=False):
    payload = core.error_payload(exception, with_pickle)
    size, = struct.unpack_from("<Q", payload)
    return json.loads(payload[8:8 + size]), payload[8 + size:]


def raised_by(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


def described(function, *args):
    return payload_of(raised_by(function, *args))[0]


class NeedsTwo(Exception):
    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")


class Custom(Exception):
    def __init__(self, message, extra=None):
        super().__init__(message)
        self.extra = extra


class InWords(unittest.TestCase):
    def test_type_message_and_place_are_told(self):
        def divide(x):
            return 1 / x

        error = described(divide, 0)
        self.assertEqual((error["type"], error["message"]), ("ZeroDivisionError", "division by zero"))
        frame, = error["frames"]
        self.assertEqual((frame["file"], frame["function"], frame["text"]), (__file__, "divide", "return 1 / x"))
        self.assertEqual(frame["line"], divide.__code__.co_firstlineno + 1)
        self.assertNotIn("cause", error)

    def test_the_traceback_is_what_python_prints(self):
        def inner():
            raise ValueError("inner")

        def outer():
            try:
                inner()
            except ValueError as error:
                raise Custom("outer", extra=1) from error

        exception = raised_by(outer)
        expected = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        self.assertEqual(payload_of(exception)[0]["traceback"], expected)

    def test_causes_and_contexts_are_nested(self):
        def work(how):
            try:
                raise KeyError("first")
            except KeyError as first:
                if how == "from":
                    raise ValueError("second") from first
                if how == "none":
                    raise ValueError("second") from None
                raise ValueError("second")

        for how, there in (("from", True), ("context", True), ("none", False)):
            error = described(work, how)
            self.assertEqual(error["type"], "ValueError")
            self.assertEqual("cause" in error, there)
            if there:
                self.assertEqual((error["cause"]["type"], error["cause"]["message"]), ("KeyError", "'first'"))
                self.assertIn("KeyError: 'first'", error["cause"]["traceback"])
                self.assertEqual(error["cause"]["frames"][0]["function"], "work")

    def test_types_outside_builtins_carry_their_module(self):
        self.assertEqual(described(json.loads, "{")["type"], "json.decoder.JSONDecodeError")

        class Local(Exception):
            pass

        self.assertEqual(payload_of(Local())[0]["type"], f"{__name__}.{Local.__qualname__}")

    def test_a_syntax_error_is_shown_as_python_shows_it(self):
        source = "def f():\n    return 1 +\n"
        error = described(compile, source, "script.py", "exec")
        self.assertEqual(error["type"], "SyntaxError")
        self.assertIn('  File "script.py", line 2\n    return 1 +\n', error["traceback"])
        self.assertIn("^\nSyntaxError: invalid syntax", error["traceback"])

    def test_sys_exit_and_interrupts_are_as_any_other(self):
        self.assertEqual(described(sys.exit, 3)["type"], "SystemExit")
        self.assertEqual(described(sys.exit, 3)["message"], "3")
        self.assertEqual(payload_of(KeyboardInterrupt())[0]["type"], "KeyboardInterrupt")

    @unittest.skipIf(sys.version_info < (3, 11), "exception groups came with 3.11")
    def test_groups_show_their_members(self):
        error = payload_of(ExceptionGroup("several", [ValueError("one"), KeyError("two")]))[0]  # noqa: F821
        self.assertIn("ValueError: one", error["traceback"])
        self.assertIn("KeyError: 'two'", error["traceback"])

    def test_an_exception_without_a_traceback_is_enough(self):
        error = payload_of(ValueError("only words"))[0]
        self.assertEqual(error["traceback"], "ValueError: only words\n")
        self.assertEqual(error["frames"], [])


class OwnFrames(unittest.TestCase):
    def test_frames_of_the_package_are_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "pyhost", "executor.py")
            package = types.ModuleType("pyhost")
            package.__file__ = os.path.join(folder, "pyhost", "__init__.py")
            own = {}
            exec(compile("def run(f):\n    f()\n", file, "exec"), own)

            def user():
                raise ValueError("mine")

            sys.modules["pyhost"], saved = package, sys.modules.get("pyhost")
            try:
                error = described(own["run"], user)
            finally:
                sys.modules.pop("pyhost")
                if saved is not None:
                    sys.modules["pyhost"] = saved
        self.assertEqual([frame["function"] for frame in error["frames"]], ["user"])
        self.assertNotIn("executor.py", error["traceback"])

    def test_the_way_into_a_script_is_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "broken_script.py"), "w") as script:
                script.write("x = 1\nraise RuntimeError('while loading')\n")
            code = textwrap.dedent(f"""
                import importlib, sys
                sys.path[:0] = [{os.path.dirname(os.path.abspath(__file__))!r}, {folder!r}]
                sys.dont_write_bytecode = True
                import core_module
                try:
                    importlib.import_module("broken_script")
                except RuntimeError as error:
                    payload = core_module.load().error_payload(error.with_traceback(error.__traceback__.tb_next))
                    sys.stdout.buffer.write(payload[8:])
            """)
            run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, timeout=60)
        error = json.loads(run.stdout)
        self.assertEqual([(frame["line"], frame["function"]) for frame in error["frames"]], [(2, "<module>")])
        self.assertNotIn("importlib", error["traceback"])


class Hostile(unittest.TestCase):
    def test_a_str_that_raises_is_replaced_by_words(self):
        for kind in (ValueError, KeyboardInterrupt, SystemExit, RecursionError):
            class Broken(Exception):
                def __str__(self):
                    raise kind("no")

                __repr__ = __str__

            error = payload_of(Broken())[0]
            self.assertEqual(error["message"], f"<str() of this exception raised {kind.__name__}>")
            self.assertIn("Broken", error["traceback"])

    def test_a_str_that_is_no_str_is_replaced_by_words(self):
        class Broken(Exception):
            def __str__(self):
                return 5

        self.assertEqual(payload_of(Broken())[0]["message"], "<str() of this exception raised TypeError>")

    def test_a_huge_message_is_cut(self):
        error = payload_of(ValueError("é" * 3_000_000))[0]
        self.assertLess(len(error["message"].encode()), 66_000)
        self.assertRegex(error["message"], r"^é+\.\.\. \(\d+ more bytes\)$")
        self.assertLess(len(error["traceback"].encode()), 264_000)

    def test_a_message_that_is_not_text_is_escaped(self):
        self.assertEqual(payload_of(ValueError("a\udc80b\x00\n\""))[0]["message"], 'a\\udc80b\x00\n"')

    def test_a_loop_of_causes_ends(self):
        first, second = ValueError("1"), ValueError("2")
        first.__cause__, second.__cause__ = second, first
        error = payload_of(first)[0]
        self.assertEqual(error["cause"]["message"], "2")
        self.assertNotIn("cause", error["cause"])
        itself = ValueError("itself")
        itself.__cause__ = itself
        self.assertNotIn("cause", payload_of(itself)[0])

    def test_a_long_chain_is_cut_after_ten_and_left_as_it_was(self):
        links = [ValueError(str(i)) for i in range(100_000)]
        for link, cause in zip(links, links[1:]):
            link.__cause__ = cause
        error, count = payload_of(links[0])[0], 1
        while "cause" in error:
            error, count = error["cause"], count + 1
        self.assertEqual((count, error["message"]), (10, "9"))
        self.assertIs(links[9].__cause__, links[10])
        while links:  # from the far end, because freeing a chain at once would recurse
            links.pop().__cause__ = None

    def test_endless_recursion_is_told_in_few_frames(self):
        def endless(n):
            return endless(n + 1)

        error = described(endless, 0)
        self.assertEqual(error["type"], "RecursionError")
        self.assertLessEqual(len(error["frames"]), 200)
        self.assertIn("more times]", error["traceback"])

    def test_a_class_that_lies_about_its_name_is_no_harm(self):
        class Liar(Exception):
            pass

        Liar.__module__ = 5
        Liar.__qualname__ = "x" * 10_000
        self.assertLess(len(payload_of(Liar("a"))[0]["type"]), 300)

    def test_a_broken_traceback_module_leaves_type_and_message(self):
        saved = traceback.TracebackException
        traceback.TracebackException = None
        try:
            error = payload_of(ValueError("still told"))[0]
        finally:
            traceback.TracebackException = saved
        self.assertEqual((error["type"], error["message"], error["traceback"]),
                         ("ValueError", "still told", "ValueError: still told\n"))


class AsObjects(unittest.TestCase):
    def unpickled(self, exception):
        item = payload_of(exception, True)[1]
        if not item:
            return None
        buffers, reserved, size = struct.unpack_from("<IIQ", item)
        self.assertEqual((buffers, reserved, size), (0, 0, len(item) - 16))
        return pickle.loads(item[16:])

    def test_the_exception_itself_follows_the_words(self):
        back = self.unpickled(raised_by(int, "x"))
        self.assertIs(type(back), ValueError)
        self.assertEqual(back.args, ("invalid literal for int() with base 10: 'x'",))
        back = self.unpickled(Custom("message", extra=[1, 2]))
        self.assertEqual((type(back), back.args, back.extra), (Custom, ("message",), [1, 2]))

    def test_nothing_follows_when_it_cannot_be_pickled(self):
        self.assertIsNone(self.unpickled(Custom("message", extra=(n for n in []))))

    def test_nothing_follows_when_it_cannot_be_loaded(self):
        self.assertIsNone(self.unpickled(NeedsTwo(1, "x")))

    def test_nothing_follows_unless_asked_for(self):
        self.assertEqual(payload_of(ValueError())[1], b"")


class Memory(unittest.TestCase):
    def test_nothing_is_left_behind(self):
        def fail():
            try:
                raise KeyError("a" * 1000)
            except KeyError:
                raise Custom("b" * 1000, extra=lambda: None)

        self.assertLess(core_module.growth_kib(lambda: payload_of(raised_by(fail), True), 500), 2048)


class ClosestName(unittest.TestCase):
    def test_finds_what_was_meant(self):
        names = ["is_prime", "is_even", "main", "Record", "x"]
        for wanted, name in (("is_prim", "is_prime"), ("is_pirme", "is_prime"), ("isprime", "is_prime"), ("record", "Record"),
                             ("mian", "main"), ("zzz", ""), ("", ""), ("y", ""), ("completely_different", "")):
            self.assertEqual(core.closest_name(wanted, names), name, wanted)

    def test_ignores_what_is_no_name(self):
        self.assertEqual(core.closest_name("main", [1, None, "\ud800", "x" * 100_000, "mains"]), "mains")
        self.assertEqual(core.closest_name("main", None), "")
        self.assertEqual(core.closest_name("x" * 100_000, ["x" * 100_000]), "")


if __name__ == "__main__":
    unittest.main()
