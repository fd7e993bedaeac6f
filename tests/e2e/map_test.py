"""`pyhost map`: how lines become arguments and results become lines."""

import json
import signal

import harness
from harness import PYHOST, PYTHON

FUNCTIONS = '''
import sys, time
def same(x): return x
def add(a, b=10): return a + b
def kinds(x): return [type(x).__name__, x]
def loud(x):
    print("out", x)
    print("err", x, file=sys.stderr)
    return x
def odd(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x
def nap(seconds):
    time.sleep(seconds)
    return seconds
def wait_for(path):
    import os
    while not os.path.exists(path):
        time.sleep(0.002)
    return path
'''


class Map(harness.E2E):
    def setUp(self):
        super().setUp()
        self.script(FUNCTIONS, "functions.py")

    def map(self, function, *options, **more):
        return self.pyhost("map", f"functions.py:{function}", "-j2", "--python", PYTHON, *options, **more)

    def start_map(self, function, *options, **more):
        return self.start(PYHOST, "map", f"functions.py:{function}", "-j2", "--python", PYTHON, *options, **more)


class Input(Map):
    def test_each_line_is_one_value_and_blank_lines_are_none(self):
        result = self.map("kinds", input='1\n\n  \t\r\n"a"\r\n[1, 2]\n{"k": null}\n1.0')

        self.assert_status(result, 0)
        self.assertEqual([json.loads(line) for line in result.out.splitlines()],
                         [["int", 1], ["str", "a"], ["list", [1, 2]], ["dict", {"k": None}], ["float", 1.0]])

    def test_a_line_can_be_positional_or_keyword_arguments(self):
        self.assertEqual(self.map("add", "--call", "args", input="[1]\n[1, 2]\n").out, "11\n3\n")
        self.assertEqual(self.map("add", "--call", "kwargs", input='{"a": 1, "b": 5}\n').out, "6\n")

    def test_raw_lines_are_strings_the_empty_one_too(self):
        result = self.map("same", "-R", input='plain\n\n"quoted" \\ ä\n')

        self.assertEqual([json.loads(line) for line in result.out.splitlines()], ["plain", "", '"quoted" \\ ä'])

    def test_nul_separates_names_with_line_breaks(self):
        self.assertEqual(self.map("same", "-R0", input="a\nb\0c").out, '"a\\nb"\n"c"\n')

    def test_a_raw_line_that_is_not_utf8_fails_alone_with_the_place(self):
        result = self.map("same", "-R", input=b"a\nb\xff\nc\n")

        self.assert_status(result, 1)
        self.assertEqual(result.out, '"a"\n"c"\n')
        self.assert_says(result.err, "call 2 failed", "byte 1", "0xff", "stdin, line 2")

    def test_files_are_read_one_after_the_other_and_named_in_failures(self):
        self.script("1\n3\n", "first")
        self.script("\ufeff5\n\n6\n", "second")

        result = self.map("odd", "first", "-", "second", input="7\n")

        self.assert_status(result, 1)
        self.assertEqual(result.out, "1\n3\n7\n5\n")
        self.assert_says(result.err, "call 5 failed: ValueError: 6 is even", "second, line 3")

    def test_a_slow_producer_sees_each_result_at_once(self):
        process = self.start_map("same")
        for number in range(5):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()

            self.assertEqual(process.stdout.readline(), b"%d\n" % number)
        self.assert_status(self.finish(process), 0)

    def test_a_closed_stdin_and_stderr_are_no_input(self):
        result = self.run_program("sh", "-c", f"{PYHOST} map functions.py:same --python {PYTHON} <&- 2>&-")

        self.assertEqual(result.out, "")


class Output(Map):
    def test_results_come_in_input_order_and_prompt_when_the_first_are_done(self):
        go = self.folder / "go"
        process = self.start_map("wait_for", "-R")
        process.stdin.write(f"functions.py\n{go}\nfunctions.py\n".encode())
        process.stdin.flush()

        self.assertEqual(process.stdout.readline(), b'"functions.py"\n')
        go.touch()
        rest = self.finish(process)

        self.assertEqual(rest.out, f'"{go}"\n"functions.py"\n')

    def test_unordered_results_do_not_wait_for_a_slow_first_one(self):
        go = self.folder / "go"
        process = self.start_map("wait_for", "-R", "--unordered")
        process.stdin.write(f"{go}\nfunctions.py\n".encode())
        process.stdin.flush()

        self.assertEqual(process.stdout.readline(), b'"functions.py"\n')
        go.touch()

        self.assertEqual(self.finish(process).out, f'"{go}"\n')

    def test_raw_output_is_strings_without_quotes(self):
        result = self.map("same", "-r", input='"a\\tb\\u00e4\\ud83d\\udc0d"\n["x"]\n')

        self.assertEqual(result.out, 'a\tbä🐍\n["x"]\n')

    def test_records_carry_the_number_and_the_failure(self):
        records = [json.loads(line) for line in self.map("odd", "--records", input="1\n2\n").out.splitlines()]

        self.assertEqual(records[0], {"seq": 1, "ok": True, "result": 1})
        self.assertEqual((records[1]["seq"], records[1]["ok"]), (2, False))
        error = records[1]["error"]
        self.assertEqual((error["kind"], error["type"], error["message"]), ("exception", "ValueError", "2 is even"))
        self.assertEqual(error["frames"][-1]["function"], "odd")

    def test_what_users_print_goes_to_stderr_in_whole_lines(self):
        result = self.map("loud", input="".join(f"{n}\n" for n in range(50)))

        self.assertEqual(result.out, "".join(f"{n}\n" for n in range(50)))
        self.assertEqual(sorted(result.err.splitlines()), sorted([f"{w} {n}" for w in ("out", "err") for n in range(50)]))

    def test_a_failure_is_one_block_with_the_traceback_of_the_function(self):
        result = self.map("odd", input="1\n2\n3\n")

        self.assert_status(result, 1)
        self.assertEqual(result.out, "1\n3\n")
        lines = result.err.splitlines()
        self.assertEqual(lines[0], "call 2 failed: ValueError: 2 is even")
        self.assertRegex(lines[1], r"^  input: stdin, line 2; worker [01]$")
        self.assertEqual(lines[2], "  Traceback (most recent call last):")
        self.assertIn("in odd", lines[3])
        self.assertEqual(lines[-1], "  ValueError: 2 is even")

    def test_the_exit_status_counts_failures_up_to_a_hundred(self):
        for failures, status in ((0, 0), (3, 3), (100, 100), (101, 101), (250, 101)):
            self.assert_status(self.map("odd", input="1\n" + "2\n" * failures), status)

    def test_large_results_do_not_stop_the_reading(self):
        lines = "".join(f'"{chr(97 + n % 26) * 2_000_000}"\n' for n in range(60))

        result = self.map("same", input=lines)

        self.assert_status(result, 0)
        self.assertTrue(result.out == lines)

    def test_a_reader_that_leaves_while_nothing_is_written_ends_the_map(self):
        process = self.start_map("wait_for", "-R")
        process.stdin.write(b"functions.py\nnever\n")
        process.stdin.flush()
        process.stdout.readline()

        process.stdout.close()

        self.assertEqual(process.wait(10), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")
        self.close(process)


class Options(Map):
    def test_the_timeout_kills_the_call_that_is_too_long_alone(self):
        result = self.map("nap", "--timeout", "200ms", input="0\n30\n0.01\n")

        self.assert_status(result, 1)
        self.assertEqual(result.out, "0\n0.01\n")
        self.assert_says(result.err, "call 2 failed", "0.2 s")

    def test_start_methods_give_the_same_results(self):
        for start in ("auto", "zygote", "spawn"):
            self.assertEqual(self.map("add", "--start", start, input="1\n2\n").out, "11\n12\n")

    def test_fork_is_refused_with_the_reason(self):
        result = self.map("add", "--start", "fork", input="")

        self.assert_status(result, 2)
        self.assert_says(result.err, "`--start fork`", "pyhost run", "zygote or spawn")

    def test_modules_of_the_current_folder_are_targets(self):
        result = self.pyhost("map", "functions:add", "--python", PYTHON, input="1\n")

        self.assertEqual(result.out, "11\n")

    def test_preloaded_modules_are_there_before_the_script(self):
        self.script("import sys\nseen = 'wave' in sys.modules\ndef f(x): return seen\n", "seen.py")

        result = self.pyhost("map", "seen.py:f", "--preload", "wave,colorsys", "--python", PYTHON, input="1\n")

        self.assertEqual(result.out, "true\n")

    def test_contradicting_options_are_refused(self):
        for options in (("-R", "--call", "args"), ("--records", "-r")):
            self.assert_status(self.map("same", *options, input=""), 2)


class Interrupted(Map):
    def test_a_signal_while_the_script_loads_ends_it(self):
        self.script("import time\nopen('loading', 'w').close()\ntime.sleep(60)\ndef f(x): return x\n", "slow.py")
        process = self.start(PYHOST, "map", "slow.py:f", "--python", PYTHON)
        harness.wait_until((self.folder / "loading").exists)

        process.send_signal(signal.SIGINT)
        result = self.finish(process, timeout=10)

        self.assert_status(result, 130)
        self.assertEqual(result.err, "pyhost: interrupted: 0 of 0 calls done\n")

    def test_signals_that_were_ignored_stay_ignored(self):
        process = self.start_map("same", preexec=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.stdin.write(b"1\n")
        process.stdin.flush()
        process.stdout.readline()

        process.send_signal(signal.SIGINT)

        self.assert_status(self.finish(process, "2\n"), 0)


if __name__ == "__main__":
    harness.main()
