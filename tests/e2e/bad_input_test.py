"""Every bad input gets one clear error that names what, where and what to do; nothing hangs."""

import json
import os
import resource
import subprocess
import sys
import unittest

import harness
from harness import EXAMPLES, PYTHON, VICTIMS

VALUES = VICTIMS / "bad_values.py"
IS_PRIME = f"{EXAMPLES}/primes.py:is_prime"
FAILED_TO_START = 255


class BadInput(harness.E2E):
    def call(self, target, *arguments, **options):
        return self.pyhost("call", target, *arguments, "-j", "1", "--python", PYTHON, **options)

    def map(self, target, input, *options, **more):
        return self.pyhost("map", target, "-j", "2", "--python", PYTHON, "--records", *options, input=input, **more)

    def assert_refused(self, result, *parts):
        self.assertIn(result.status, (2, FAILED_TO_START), result)
        self.assertEqual(result.out, "")
        self.assert_clean_error(result, *parts)


class Scripts(BadInput):
    def test_a_missing_script_gets_the_closest_name(self):
        self.script("def f(x): return x\n", "scores.py")

        result = self.call("score.py:f", "1")

        self.assert_refused(result, "`score.py`", "did you mean `scores.py`")

    def test_a_missing_function_gets_the_closest_name(self):
        result = self.call(f"{EXAMPLES}/primes.py:is_prim", "1")

        self.assert_refused(result, "`is_prim`", "primes.py", "did you mean `is_prime`")

    def test_a_name_that_is_no_function_is_refused(self):
        result = self.call(f"{self.script('table = 5')}:table", "1")

        self.assert_refused(result, "`table`", "int")

    def test_a_target_without_a_function_is_refused(self):
        self.assert_refused(self.call(str(VALUES), "1"), "bad_values.py", ":")

    def test_a_missing_module_is_named(self):
        self.assert_refused(self.call("no.such.module:f", "1"), "no", "ModuleNotFoundError")

    def test_a_folder_is_no_script(self):
        (self.folder / "folder.py").mkdir()

        self.assert_refused(self.call("folder.py:f", "1"), "folder.py")

    def test_a_syntax_error_is_shown_as_python_shows_it(self):
        path = self.script("def f(x):\n    return (x +\n\nvalue = 1\n")
        python = self.run_program(PYTHON, path).err.replace(f'"{path}"', "")

        result = self.call(f"{path}:f", "1")

        self.assert_refused(result, "script.py", "SyntaxError")
        shown = [line.strip() for line in python.splitlines() if "File" not in line]
        self.assert_says(result.err, *shown)

    def test_a_script_that_raises_while_loading_shows_its_traceback(self):
        path = self.script("import json\ndef f(x): return x\njson.loads('{')\n")

        result = self.call(f"{path}:f", "1")

        self.assert_refused(result, "JSONDecodeError", f'File "{path}", line 3', "json.loads('{')")

    def test_a_script_that_exits_while_loading_is_named(self):
        result = self.call(f"{self.script('import sys; sys.exit(4)')}:f", "1")

        self.assert_refused(result, "script.py", "sys.exit(4)")

    def test_a_script_that_kills_itself_while_loading_is_named(self):
        for text, sign in (("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
                           ("import os; os._exit(0)", "exit"), ("import os; os.abort()", "SIGABRT")):
            with self.subTest(sign):
                self.assert_refused(self.call(f"{self.script(text)}:f", "1"), "script.py", sign)

    def test_a_script_that_prints_while_loading_leaves_stdout_to_results(self):
        path = self.script("import sys\nprint('loading')\nprint('more', file=sys.stderr)\n"
                           "def f(x):\n    print('working')\n    return x\n")

        result = self.call(f"{path}:f", "1")

        self.assert_status(result, 0)
        self.assertEqual(result.out, "1\n")
        self.assert_says(result.err, "loading\n", "more\n", "working\n")

    def test_a_script_that_reads_stdin_does_not_get_the_input(self):
        path = self.script("import sys\ntext = sys.stdin.read()\ndef f(x): return [text, sys.stdin.read()]\n")

        result = self.map(f"{path}:f", "1\n")

        self.assert_status(result, 0)
        self.assertEqual(json.loads(result.out)["result"], ["", ""])


class Interpreters(BadInput):
    def test_an_absent_interpreter_is_named(self):
        result = self.pyhost("call", IS_PRIME, "7", "--python", "/no/such/python")

        self.assert_refused(result, "`/no/such/python`")

    def test_a_program_that_is_no_python_is_refused(self):
        for program in ("/bin/true", "/bin/cat", "/etc/passwd"):
            with self.subTest(program):
                self.assert_refused(self.pyhost("call", IS_PRIME, "7", "--python", program, timeout=30), program)

    def python_that_claims(self, minor):
        """A program that answers as a Python 3.`minor` would."""
        fake = self.script(f"#!/bin/sh\nexec {PYTHON} -c \"\nimport sys\nsys.hexversion = 0x03{minor:02x}00f0\n"
                           f"sys.version_info = (3, {minor}, 0, 'final', 0)\nsys.version = '3.{minor}.0 (fake)'\n"
                           "sys.argv = sys.argv[1:]\nexec(sys.argv[sys.argv.index('-c') + 1])\n\" \"$@\"\n",
                           f"python3.{minor}")
        fake.chmod(0o755)
        return fake

    def test_a_version_without_a_core_is_refused_with_both_versions(self):
        result = self.pyhost("call", IS_PRIME, "7", "--python", self.python_that_claims(99))

        self.assert_refused(result, "3.99.0", "cores for ", "%d.%d" % sys.version_info[:2])

    def test_a_version_that_is_too_old_is_refused_with_the_oldest_that_works(self):
        result = self.pyhost("call", IS_PRIME, "7", "--python", self.python_that_claims(8))

        self.assert_refused(result, "3.8", "needs 3.9")

    def test_an_unknown_option_gets_the_closest_spelling(self):
        result = self.pyhost("map", IS_PRIME, "--worker", "2", input="1\n")

        self.assert_refused(result, "unknown option `--worker`", "did you mean `--workers`")

    def test_worker_counts_that_make_no_sense_are_refused(self):
        for count in ("0", "many", "1.5", "", "99999999999999999999"):
            with self.subTest(count):
                result = self.pyhost("map", IS_PRIME, f"--workers={count}", "--python", PYTHON, input="1\n")

                self.assert_refused(result, f"`--workers {count}`", "write a count")


class Values(BadInput):
    def test_results_that_json_cannot_carry_name_the_place(self):
        for function, parts in (("a_set", ("$.rows[1]", "`set`")), ("an_object", ("object",)),
                                ("not_a_number", ("NaN", "$[0]")), ("itself", ()), ("surrogate", ("surrogate",))):
            with self.subTest(function):
                result = self.call(f"{VALUES}:{function}", "1")

                self.assert_status(result, 1)
                self.assertEqual(result.out, "")
                self.assert_clean_error(result, *parts)

    def test_one_bad_result_does_not_harm_the_others(self):
        path = self.script("def f(x):\n    return {1, 2} if x == 3 else x\n")

        result = self.map(f"{path}:f", "1\n2\n3\n4\n")

        self.assert_status(result, 1)
        records = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([record["ok"] for record in records], [True, True, False, True])
        self.assertEqual(records[2]["error"]["kind"], "marshal")

    def test_an_exception_without_a_text_is_still_an_exception(self):
        result = self.map(f"{VALUES}:raise_silent", "1\n")

        self.assert_status(result, 1)
        error = json.loads(result.out)["error"]
        self.assertEqual((error["kind"], error["type"].split(".")[-1]), ("exception", "Silent"))

    def test_an_exception_carries_its_cause_and_traceback(self):
        result = self.map(f"{VALUES}:raise_chained", "1\n")

        self.assert_status(result, 1)
        error = json.loads(result.out)["error"]
        self.assertEqual((error["type"], error["message"]), ("ValueError", "outer"))
        self.assert_says(result.err, "KeyError: 'inner'", "direct cause", "ValueError: outer", "raise_chained")

    def test_exit_and_interrupt_in_a_call_fail_that_call_alone(self):
        for function, name in (("call_exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")):
            with self.subTest(function):
                result = self.map(f"{VALUES}:{function}", "1\n2\n")

                self.assert_status(result, 2)
                for line in result.out.splitlines():
                    self.assertEqual(json.loads(line)["error"]["type"], name)

    def test_an_exception_that_cannot_be_pickled_arrives_with_its_name(self):
        script = self.script(f"import sys, pyhost\nsys.path.insert(0, {str(VICTIMS)!r})\nimport bad_values\n"
                             "for f in bad_values.raise_unpicklable, bad_values.raise_silent:\n"
                             "    try:\n        pyhost.submit(f, 1).result()\n"
                             "    except Exception as error:\n        print(type(error).__name__)\n"
                             "        print(f.__name__, 'Unpicklable' in repr(error) or 'Silent' in repr(error))\n"
                             "print(list(pyhost.map(bad_values.fine, range(3))))\n")

        result = self.pyhost("run", script, "-j", "2", "--python", PYTHON)

        self.assert_status(result, 0)
        self.assert_says(result.out, "raise_unpicklable True\n", "raise_silent True\n", "[0, 1, 2]\n")


class Lines(BadInput):
    def assert_one_fails(self, line, *parts):
        """Of three lines the middle one is bad; the others are not affected."""
        result = self.map(f"{VALUES}:fine", b"1\n" + line + b"\n3\n")

        self.assert_status(result, 1)
        records = [json.loads(text) for text in result.out.splitlines()]
        self.assertEqual([(record["seq"], record["ok"]) for record in records], [(1, True), (2, False), (3, True)])
        self.assertEqual(records[1]["error"]["kind"], "marshal", records[1])
        self.assert_says(result.err, *parts)

    def test_broken_json_fails_its_own_call_and_names_the_place(self):
        for line in (b'{"a": ', b"[1,]", b"nul", b"1 2", b'"open', b"'a'", b"{1: 2}", b"01", b"+1", b"[1", b"]"):
            with self.subTest(line):
                self.assert_one_fails(line)

    def test_lines_that_are_not_utf8_fail_their_own_call(self):
        for line in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b"\xff\xfe1\x00"):
            with self.subTest(line):
                self.assert_one_fails(line)

    def test_deep_lines_fail_their_own_call(self):
        self.assert_one_fails(b"[" * 1_000_000, "deep")
        self.assert_one_fails(b"[" * 100_000 + b"]" * 100_000, "deep")

    def test_a_huge_line_is_carried(self):
        text = "x" * (60 << 20)

        result = self.pyhost("map", f"{self.script('def f(x): return len(x)')}:f", "-j", "1", "--python", PYTHON,
                             input=json.dumps(text) + "\n")

        self.assert_status(result, 0)
        self.assertEqual(result.out, f"{60 << 20}\n")

    def test_a_line_beyond_the_limit_fails_its_own_call(self):
        self.assert_one_fails(b'"' + b"x" * (70 << 20) + b'"', "the most is")

    def test_a_huge_result_is_carried(self):
        result = self.call(f"{VALUES}:huge_string", str(64 << 20))

        self.assert_status(result, 0)
        self.assertEqual(len(result.out), (64 << 20) + 3)

    def test_empty_input_is_no_call(self):
        result = self.map(IS_PRIME, "")

        self.assert_status(result, 0)
        self.assertEqual(result.out, "")

    def test_a_missing_input_file_is_named(self):
        result = self.pyhost("map", IS_PRIME, "no-such-file.jsonl", "--python", PYTHON)

        self.assert_refused(result, "`no-such-file.jsonl`")


def limit(which, value):
    return lambda: resource.setrlimit(which, (value, value))


class Machine(BadInput):
    def test_too_few_descriptors_are_named(self):
        for count in (6, 10, 16, 24):
            with self.subTest(count):
                result = self.pyhost("map", IS_PRIME, "-j", "8", "--python", PYTHON, input="7\n" * 50, timeout=30,
                                     preexec=limit(resource.RLIMIT_NOFILE, count))

                if result.status:
                    self.assert_clean_error(result, "descriptors", "ulimit -n")

    def test_too_little_memory_is_an_error_and_no_crash(self):
        for mib in (100, 300):
            with self.subTest(mib):
                result = self.pyhost("map", f"{VALUES}:eat_memory", "-j", "2", "--python", PYTHON, "--records",
                                     input="1\n2000\n1\n", timeout=30,
                                     preexec=limit(resource.RLIMIT_AS, mib << 20))

                self.assertGreater(result.status, 0, result)
                self.assertNotIn("terminate called", result.err)
                self.assertNotEqual(result.err, "")

    @unittest.skipIf(os.getuid() != 0, "needs root for a mount namespace of its own")
    def test_a_full_dev_shm_does_not_matter(self):
        probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
        if probe.returncode:
            self.skipTest("mount namespaces are not available")
        shell = ("mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero >/dev/shm/full; "
                 'exec "$@"')

        result = self.run_program("unshare", "--mount", "sh", "-c", shell, "sh", harness.PYHOST, "map", IS_PRIME,
                                  "-j", "2", "--python", PYTHON, input="7\n" * 1000)

        self.assert_status(result, 0)
        self.assertEqual(result.out, "true\n" * 1000)

    def test_a_closed_stdout_ends_the_map_with_one_error(self):
        def close_stdout():
            os.close(1)

        result = self.pyhost("map", IS_PRIME, "-j", "2", "--python", PYTHON, input="7\n" * 1000, timeout=20,
                             preexec=close_stdout)

        self.assertGreater(result.status, 0)
        self.assert_clean_error(result, "stdout")

    def test_a_reader_that_leaves_ends_the_map(self):
        """`pyhost map ... | head -1`: ends soon, without a traceback and without noise."""
        process = self.start(harness.PYHOST, "map", IS_PRIME, "-j", "2", "--python", PYTHON)
        feeder = subprocess.Popen(["sh", "-c", "yes 7"], stdout=process.stdin, stderr=subprocess.DEVNULL)
        process.stdin.close()
        process.stdin = None
        self.assertEqual(process.stdout.readline(), b"true\n")
        process.stdout.close()
        process.stdout = None

        result = self.finish(process, timeout=20)
        feeder.wait(10)

        self.assertNotIn("Traceback", result.err)
        self.assertLessEqual(len(result.err.splitlines()), 1, result)

    def test_a_full_disk_under_stdout_is_named(self):
        with open("/dev/full", "w") as full:
            process = self.start(harness.PYHOST, "map", IS_PRIME, "-j", "2", "--python", PYTHON, stdout=full)

            result = self.finish(process, "7\n" * 100_000, timeout=20)

        self.assertGreater(result.status, 0)
        self.assert_clean_error(result, "stdout", "space")


if __name__ == "__main__":
    harness.main()
