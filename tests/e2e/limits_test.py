"""Limits from the command line: each outcome is reached, told in a block, and costs one call."""

import json

import harness
from harness import PYTHON, VICTIMS

LIMITS = VICTIMS / "limits.py"


class Limits(harness.E2E):
    def call(self, function, *arguments, **more):
        return self.pyhost("call", f"{LIMITS}:{function}", "-j", "1", "--python", PYTHON, *arguments, **more)

    def map(self, function, *options, input, **more):
        return self.pyhost("map", f"{LIMITS}:{function}", "--python", PYTHON, *options, input=input, **more)

    def records(self, function, *options, **more):
        """(outcome, the records of a map)."""
        outcome = self.map(function, "--records", *options, **more)
        return outcome, [json.loads(line) for line in outcome.out.splitlines()]

    def error_of(self, function, *options, input="1\n"):
        """(outcome, the error) of a map in which one call fails."""
        outcome, records = self.records(function, "-j1", *options, input=input)
        self.assert_status(outcome, 1)
        return outcome, [record["error"] for record in records if not record["ok"]][0]


class Time(Limits):
    def test_a_loop_of_python_code_is_stopped_where_it_is(self):
        outcome, error = self.error_of("spin", "--timeout", "0.3", "--grace", "30")

        self.assertEqual((error["kind"], error["attempts"]), ("timeout", 1))
        self.assertLess(outcome.seconds, 20, "the grace period was not needed")
        self.assert_says(error["traceback"], "in spin", "TaskInterrupted")
        self.assert_says(outcome.err, "`spin`", "0.3 s", "call: spin(1)", "in spin")

    def test_code_that_cannot_be_interrupted_is_killed_after_the_grace_period(self):
        for function in ("hold_interpreter", "refuse_to_stop"):
            with self.subTest(function):
                outcome, error = self.error_of(function, "--timeout", "0.2", "--grace", "0.2")

                self.assertEqual(error["kind"], "timeout")
                self.assert_says(outcome.err, f"`{function}`", "0.2 s", f"in {function}")

    def test_no_grace_kills_at_once(self):
        note = self.folder / "note"

        result = self.call("clean_up", json.dumps(str(note)), "--timeout", "0.2", "--grace", "0")

        self.assert_status(result, 1)
        self.assertFalse(note.exists())

    def test_a_call_over_its_limit_can_clean_up(self):
        note = self.folder / "note"

        result = self.call("clean_up", json.dumps(str(note)), "--timeout", "0.2", "--grace", "30")

        self.assert_status(result, 1)
        self.assertEqual(note.read_text(), "cleaned up")

    def test_other_calls_do_not_notice(self):
        outcome, records = self.records("nap", "-j2", "--timeout", "1", input="0\n60\n0.01\n0\n0\n")

        self.assert_status(outcome, 1)
        self.assertEqual([record["ok"] for record in records], [True, False, True, True, True])

    def test_cpu_time_is_limited_apart_from_time(self):
        outcome, error = self.error_of("spin", "--cpu", "0.2")

        self.assertEqual(error["kind"], "cpu")
        self.assert_says(outcome.err, "CPU", "0.2 s", "`spin`")
        self.assert_status(self.call("nap", "0.4", "--cpu", "0.2"), 0)


class Memory(Limits):
    def test_python_raises_where_it_can_and_the_kind_is_memory(self):
        outcome, error = self.error_of("hoard", "--memory", "256M", input="1\n600\n1\n")

        self.assertEqual(error["kind"], "memory")
        self.assert_says(error.get("traceback", ""), "in hoard", "MemoryError")
        self.assertEqual(len(outcome.out.splitlines()), 3)

    def test_a_worker_whose_processes_are_above_the_cap_is_killed(self):
        outcome, error = self.error_of("hoard_in_children", "--memory", "128M", input="200\n")

        self.assertEqual(error["kind"], "memory")
        self.assert_says(outcome.err, "128 MiB")

    def test_caps_that_make_no_sense_are_refused(self):
        for size, word in (("1M", "least"), ("9999T", "this machine"), ("lots", "no size"), ("-1", "byte")):
            result = self.call("same", "1", "--memory", size)

            self.assert_status(result, 2)
            self.assert_says(result.err, f"`--memory {size}`", word)


class Deaths(Limits):
    def test_the_block_of_a_crash_says_what_ran_where_and_why(self):
        self.script("import ctypes, sys\ndef load(name):\n    print('opening', name, file=sys.stderr)\n"
                    "    ctypes.string_at(0)\n")

        result = self.pyhost("map", "script.py:load", "-j1", "--records", "--python", PYTHON, input='"a.png"\n')

        self.assert_status(result, 1)
        self.assert_says(result.err, "call 1 failed: worker 0 (pid ", "SIGSEGV", "input: stdin, line 1",
                         "likely cause: ", 'call: load("a.png")', "in load", "opening a.png")
        error = json.loads(result.out)["error"]
        self.assertEqual((error["kind"], error["signal"], error["attempts"]), ("crashed", 11, 1))
        self.assert_says(error["stack"], "line 4 in load")
        self.assertGreater(error["peak_memory"], 1 << 20)
        self.assertGreater(error["seconds"], 0)

    def test_a_worker_that_breaks_the_protocol_is_replaced(self):
        self.script(LIMITS.read_text(), "victim.py")

        result = self.pyhost("map", "victim.py:lie_about_replies", "-j1", "--records", "--timeout", "20",
                             "--python", PYTHON, input="1\n")

        self.assert_status(result, 1)
        self.assertEqual(json.loads(result.out)["error"]["kind"], "protocol")


class Retries(Limits):
    def path(self):
        return json.dumps(str(self.folder / "calls"))

    def test_nothing_runs_twice_without_them(self):
        self.assert_status(self.call("fail_at_first", self.path()), 1)
        self.assertEqual((self.folder / "calls").read_text(), ".")

    def test_a_call_that_failed_runs_again_until_it_returns(self):
        result = self.call("fail_at_first", self.path(), "--retries", "2")

        self.assert_status(result, 0)
        self.assertEqual(result.out, "3\n")
        self.assertEqual(result.err, "")

    def test_the_last_failure_says_which_attempt_it_was(self):
        result = self.call("fail_at_first", self.path(), "--retries", "1")

        self.assert_status(result, 1)
        self.assert_says(result.err, "FileNotFoundError: attempt 2", "this was attempt 2")

    def test_a_dead_worker_is_retried_on_another(self):
        self.assertEqual(self.call("die_at_first", self.path(), "--retries", "1").out, "2\n")

    def test_only_for_what_was_said(self):
        for words, exception, status in (("OSError", "OSError", 0), ("OSError", "ValueError", 1),
                                         ("crashed,timeout", "OSError", 1), ("exception", "ValueError", 0)):
            with self.subTest(words):
                calls = json.dumps(str(self.folder / f"{words}-{exception}"))

                result = self.call("fail_at_first", calls, json.dumps(exception), "--retries", "5", "--retry-on", words)

                self.assert_status(result, status)

    def test_what_can_never_be_retried_is_refused(self):
        result = self.call("same", "1", "--retries", "1", "--retry-on", "startup")

        self.assert_status(result, 2)
        self.assert_says(result.err, "`--retry-on startup`", "never retried", "crashed, timeout")


class OtherKinds(Limits):
    def test_each_has_its_name(self):
        self.script("def unsendable(x): return {1, 2}\ndef fails(x): return 1 / 0\n", "kinds.py")
        for function, kind in (("unsendable", "marshal"), ("fails", "exception")):
            result = self.pyhost("map", f"kinds.py:{function}", "--records", "--python", PYTHON, input="1\n")

            self.assertEqual(json.loads(result.out)["error"]["kind"], kind)

    def test_a_script_that_cannot_start_is_one_block_and_status_255(self):
        self.script("import no_such_module_anywhere\n", "broken.py")

        result = self.pyhost("map", "broken.py:f", "--python", PYTHON, input="1\n2\n")

        self.assert_status(result, 255)
        self.assert_says(result.err, "pyhost: cannot start", "no_such_module_anywhere")


class Workers(Limits):
    def test_each_is_prepared_before_its_first_call(self):
        result = self.map("is_prepared", "-j2", "--init", "prepare", input="1\n" * 50)

        self.assert_status(result, 0)
        self.assertEqual(set(result.out.split()), {"true"})

    def test_a_preparation_that_fails_is_a_failure_to_start_told_once(self):
        result = self.map("same", "-j2", "--init", "prepare_badly", input="1\n" * 50)

        self.assert_status(result, 255)
        self.assertEqual(result.out, "")
        self.assertEqual(result.err.count("cannot start"), 1, result)
        self.assert_says(result.err, "`prepare_badly`", "in prepare_badly", "RuntimeError: no database")

    def test_they_are_replaced_after_so_many_calls(self):
        result = self.map("pid", "-j1", "--max-tasks-per-worker", "5", input="1\n" * 20)

        self.assert_status(result, 0)
        pids = result.out.split()
        self.assertLessEqual(max(pids.count(pid) for pid in pids), 5)

    def test_their_number_may_be_a_range(self):
        result = self.map("nap", "-j", "0:3", input="0.05\n" * 20)

        self.assert_status(result, 0)
        self.assertEqual(len(result.out.splitlines()), 20)

    def test_threads_of_numeric_libraries_are_capped(self):
        result = self.call("environment", '"OMP_NUM_THREADS"', "--threads-per-worker", "3",
                           env={"OMP_NUM_THREADS": ""})

        self.assertIn(result.out, ('"3"\n', '""\n'))  # a variable that is set, even empty, is the user's

    def test_several_calls_run_at_once_in_each(self):
        result = self.map("most_at_once", "-j1", "--concurrency", "4", input="0.3\n" * 12)

        self.assert_status(result, 0)
        self.assertEqual(max(map(int, result.out.split())), 4)

    def test_a_map_of_a_script_keeps_all_of_them_busy(self):
        script = self.script(f"import sys, pyhost\nsys.path.insert(0, {str(VICTIMS)!r})\nimport limits\n"
                             "print(max(pyhost.map(limits.most_at_once, [0.3] * 60)))\n")

        result = self.pyhost("run", script, "-j1", "--concurrency", "20", "--python", PYTHON)

        self.assertEqual((result.out, result.err), ("20\n", ""))

    def test_coroutines_run_at_once_too(self):
        result = self.map("nap_without_blocking", "-j1", "--concurrency", "50", input="0.5\n" * 50)

        self.assert_status(result, 0)
        self.assertEqual(result.out, "0.5\n" * 50)
        self.assertLess(result.seconds, 15, "one after the other is 25 s")

    def test_a_coroutine_needs_no_concurrency(self):
        self.assertEqual(self.call("nap_without_blocking", "0").out, "0\n")

    def test_options_that_make_no_sense_say_what_is_allowed(self):
        for option, value, allowed in (("--concurrency", "0", "from 1"), ("--retries", "many", "whole number"),
                                       ("--cpu", "-1", "500ms"), ("--max-tasks-per-worker", "0", "from 1"),
                                       ("--workers", "3:1", "MIN:MAX"), ("--grace", "soon", "write seconds")):
            with self.subTest(option):
                result = self.call("same", "1", option, value)

                self.assert_status(result, 2)
                self.assert_says(result.err, f"`{option} {value}`", allowed)


if __name__ == "__main__":
    harness.main()
