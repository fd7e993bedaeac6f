"""`pyhost run`: the process becomes the interpreter, as `python3 SCRIPT` would be."""

import signal

import harness
from harness import PYHOST, PYTHON

IMAGES = ("executable", "libpython")
SHOW = '''
import json, os, sys
print(json.dumps([sys.argv, __name__, globals().get("__file__"), sys.path[0], sys.flags.optimize,
                  sys.dont_write_bytecode, sys.executable, os.getpid() == int(os.environ.get("SHELL_PID", os.getpid()))]))
'''


class Run(harness.E2E):
    def run_(self, *words, **more):
        return self.pyhost("run", "--python", PYTHON, *words, **more)

    def assert_same_as_python(self, flags, words, arguments, **more):
        expected = self.run_program(PYTHON, *flags, *words, *arguments, **more)
        for image in IMAGES:
            result = self.run_(*flags, "--image", image, *words, "--", *arguments, **more)

            self.assertEqual((result.status, result.out, result.err), (expected.status, expected.out, expected.err))

    def test_a_script_sees_what_it_sees_under_python(self):
        self.script(SHOW)

        self.assert_same_as_python(["-O", "-B"], ["script.py"], ["a", "--workers", "-x", ""])
        self.assert_same_as_python([], [str(self.folder / "script.py")], [])

    def test_modules_code_and_stdin_too(self):
        self.script(SHOW, "module.py")

        self.assert_same_as_python([], ["-m", "module"], ["a"])
        self.assert_same_as_python(["-OO"], ["-c", SHOW], ["a", "b"])
        self.assert_same_as_python([], ["-"], ["a"], input="import sys; print(sys.argv)")

    def test_exit_statuses_and_tracebacks_are_pythons(self):
        for text in ("import sys; sys.exit(7)", "import sys; sys.exit('reason')", "raise ValueError('x')",
                     "def f(:\n", "import os; os.kill(os.getpid(), 9)", "raise KeyboardInterrupt"):
            self.script(text)

            self.assert_same_as_python([], ["script.py"], [])

    def test_the_prompt_of_i_follows_the_script(self):
        self.script("x = 6\n", "sets.py")
        prompt = {"input": "print(x * 7)\nimport sys; sys.exit(len(sys.argv))\n"}

        self.assert_same_as_python(["-i"], ["sets.py"], ["a", "b"], **prompt)
        self.assert_same_as_python(["-i"], ["-m", "sets"], [], **prompt)
        self.assert_same_as_python(["-qi"], ["-c", "import sys; x = 5; sys.exit(9)"], [], **prompt)
        self.assert_same_as_python(["-i"], ["-c", "x = 5; raise ValueError(x)"], [], **prompt)
        self.assert_same_as_python(["-i"], ["-"], [], **prompt)

    def test_the_environment_asks_for_a_prompt_only_of_somebody(self):
        self.script("import sys; x = 5; sys.exit(9)")

        self.assert_same_as_python([], ["script.py"], [], env={"PYTHONINSPECT": "1"}, input="print(x)\n")

    def test_i_alone_is_a_prompt(self):
        result = self.run_("-i", "-q", input="from concurrent.futures import ProcessPoolExecutor\n"
                                             "print(ProcessPoolExecutor(1).submit(abs, -3).result())\n"
                                             "import pyhost; print(pyhost.adopted())\n")

        self.assertEqual((result.status, result.out), (0, "3\n{'futures': 1}\n"))

    def test_the_process_and_its_stdin_are_the_script_s(self):
        self.script("import os, sys; print(os.getpid(), sys.stdin.read())")
        process = self.start(PYHOST, "run", "script.py", "--python", PYTHON)

        result = self.finish(process, "input")

        self.assertEqual(result.out, f"{process.pid} input\n")

    def test_a_missing_script_is_said_as_python_says_it_with_the_closest_name(self):
        self.script("", "script.py")
        expected = self.run_program(PYTHON, "scirpt.py")

        result = self.run_("scirpt.py")

        self.assert_status(result, expected.status)
        self.assertEqual(result.err, expected.err + "did you mean `script.py`?\n")

    def test_after_a_missing_script_there_is_a_prompt_where_python_has_one(self):
        text = "print('here'); raise SystemExit(7)\n"

        self.assert_same_as_python(["-i"], ["missing.py"], [], input=text)
        self.assert_same_as_python([], ["missing.py"], [], input=text, env={"PYTHONINSPECT": "1"})

    def test_words_after_the_script_must_follow_the_dashes(self):
        self.script("")
        for words, said in ((["--worker", "3"], "did you mean `--workers`?"), (["input.txt"], "-- input.txt`"),
                            (["-x"], "`-x`"), (["-O"], "before the script")):
            result = self.run_("script.py", *words)

            self.assert_status(result, 2)
            self.assert_says(result.err, said, "arguments for the script go after `--`")

    def test_there_is_no_sandbox_and_every_command_says_so(self):
        for command in ("run", "map", "call"):
            refused = self.pyhost(command, "script.py:f", "--sandbox", "strict")
            self.assert_status(refused, 2)
            self.assert_says(refused.err, "no sandbox yet")

    def test_workers_are_the_default_of_the_script_s_pools(self):
        self.script("import os, pyhost\n"
                    "def pid(barrier):\n    import time; time.sleep(0.05); return os.getpid()\n"
                    "print(len(set(pyhost.map(pid, range(30)))))\n")

        for image in IMAGES:
            self.assertEqual(self.run_("script.py", "-j3", "--image", image).out, "3\n")

    def test_an_interrupt_reaches_the_script(self):
        self.script("import time\ntry:\n    print('up', flush=True); time.sleep(60)\n"
                    "except KeyboardInterrupt:\n    print('interrupted')\n")
        process = self.start(PYHOST, "run", "script.py", "--python", PYTHON)
        self.assertEqual(process.stdout.readline(), b"up\n")

        process.send_signal(signal.SIGINT)

        self.assertEqual(self.finish(process).out, "interrupted\n")


if __name__ == "__main__":
    harness.main()
