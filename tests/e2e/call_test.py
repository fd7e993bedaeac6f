"""`pyhost call`: one call, its result as JSON."""

import signal

import harness
from harness import PYHOST, PYTHON


class Call(harness.E2E):
    def call(self, target, *arguments, **more):
        return self.pyhost("call", target, *arguments, "--python", PYTHON, **more)

    def test_each_json_text_is_one_positional_argument(self):
        self.script("def show(*args, **kwargs): return [args, kwargs]\n")

        result = self.call("script.py:show", "1", '"two"', "[3, 4]", "-5", '{"six": null}')

        self.assert_status(result, 0)
        self.assertEqual(result.out, '[[1,"two",[3,4],-5,{"six":null}],{}]\n')
        self.assertEqual(self.call("script.py:show").out, "[[],{}]\n")

    def test_keyword_arguments_are_an_object(self):
        self.script("def show(*args, **kwargs): return [args, kwargs]\n")

        self.assertEqual(self.call("script.py:show", "1", "--kwargs", '{"weight": 0.5}').out,
                         '[[1],{"weight":0.5}]\n')
        self.assert_status(self.call("script.py:show", "--kwargs", "[1]"), 2)

    def test_integers_of_any_size_keep_every_digit(self):
        big = "123456789012345678901234567890"

        self.assertEqual(self.call("operator:neg", big).out, f"-{big}\n")

    def test_a_bare_word_is_refused_with_the_quotes_it_needs(self):
        result = self.call("operator:neg", "word")

        self.assert_status(result, 2)
        self.assert_says(result.err, "argument 1 `word` is not JSON", """'"word"'""")

    def test_raw_output_is_the_string(self):
        self.assertEqual(self.call("operator:concat", '"a\\n"', '"b"', "-r").out, "a\nb\n")

    def test_a_failure_is_one_block_and_status_1(self):
        result = self.call("operator:truediv", "1", "0")

        self.assert_status(result, 1)
        self.assertEqual(result.out, "")
        self.assert_says(result.err, "call failed: ZeroDivisionError: division by zero")

    def test_a_call_that_is_too_long_is_killed(self):
        result = self.call("time:sleep", "60", "--timeout", "0.2")

        self.assert_status(result, 1)
        self.assert_says(result.err, "0.2 s")

    def test_an_interrupt_ends_the_call(self):
        self.script("import time\ndef f():\n    open('running', 'w').close()\n    time.sleep(60)\n")
        process = self.start(PYHOST, "call", "script.py:f", "--python", PYTHON)
        harness.wait_until((self.folder / "running").exists)

        process.send_signal(signal.SIGTERM)

        result = self.finish(process, timeout=10)
        self.assert_status(result, 143)
        self.assertEqual(result.err, "pyhost: interrupted: 0 of 1 calls done\n")


class Words(harness.E2E):
    def test_unknown_commands_options_and_topics_get_the_closest_spelling(self):
        for words, meant in ((["mpa"], "`map`"), (["help", "wokers"], "`workers`"),
                             (["map", "t.py:f", "--record"], "`--records`"), (["call", "--kwarg"], "`--kwargs`")):
            result = self.pyhost(*words)

            self.assert_status(result, 2)
            self.assert_says(result.err, f"did you mean {meant}?")

    def test_a_script_as_the_command_is_told_about_run(self):
        self.assert_says(self.pyhost("job.py").err, "`pyhost run job.py`")

    def test_help_fits_a_screen_and_every_topic_is_there(self):
        overview = self.pyhost("--help")

        self.assert_status(overview, 0)
        self.assertLessEqual(len(overview.out.splitlines()), 24)
        for topic in ("map", "call", "run", "doctor", "workers", "limits", "python", "errors", "signals",
                      "exit-codes"):
            self.assert_says(overview.out, topic)
            self.assert_says(self.pyhost("help", topic).out, "  $ ")
        self.assertEqual(self.pyhost("map", "--help").out, self.pyhost("help", "map").out)
        self.assertEqual(self.pyhost("help", "help").out, overview.out)

    def test_the_version_is_one_line(self):
        self.assertRegex(self.pyhost("--version").out, r"^pyhost \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    harness.main()
