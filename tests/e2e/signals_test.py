"""Signals to the command: Ctrl-C once and twice at any moment, SIGTERM, SIGUSR1, a closed stdout."""

import json
import os
import pathlib
import random
import select
import signal
import time

import harness
from harness import PYHOST, PYTHON

SCRIPT = '''
import os, sys, time
def same(x):
    return x
def nap(x):
    time.sleep(0.002)
    return x
def wait_for(path):
    """Says that it runs, then waits until the file is there."""
    open(f"{path}.running", "w").close()
    while not os.path.exists(path):
        time.sleep(0.002)
    return path
def spin(path):
    open(f"{path}.running", "w").close()
    while True:
        sum(range(1000))
def clean_up(path):
    try:
        return wait_for(path)
    finally:
        open(f"{path}.cleaned", "w").close()
'''


def pending(pid, number):
    """Whether a signal was sent to the process and not taken yet."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    mask = [line for line in status.splitlines() if line.startswith("ShdPnd:")][0].split()[1]
    return int(mask, 16) >> (number - 1) & 1


class Signals(harness.E2E):
    def setUp(self):
        super().setUp()
        self.script(SCRIPT)

    def start_map(self, function, *options, **more):
        return self.start(PYHOST, "map", f"script.py:{function}", "--python", PYTHON, *options, **more)

    def feed(self, process, text):
        process.stdin.write(text.encode())
        process.stdin.flush()

    def running(self, *names):
        for name in names:
            harness.wait_until((self.folder / f"{name}.running").exists, 20, f"a call of {name}")

    def send(self, process, number=signal.SIGINT):
        """Sends a signal and waits until it was taken, so that the next one is not merged into it."""
        process.send_signal(number)
        harness.wait_until(lambda: not pending(process.pid, number), 10, "the signal's arrival")

    def line(self, process):
        """The next line of stderr; fails, and says what the command waits for, when none comes."""
        if not select.select([process.stderr], [], [], 20)[0]:
            threads = [path.read_text() for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/wchan")]
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            self.fail(f"no line came in 20 s; threads wait in {threads}, children: {harness.descendants(process.pid)}\n"
                      f"{status}")
        return process.stderr.readline().decode()


class Interrupt(Signals):
    def test_the_first_waits_for_what_runs_and_says_so_at_once(self):
        process = self.start_map("wait_for", "-j2", "-R")
        self.feed(process, "a\nb\nc\nd\n")
        self.running("a", "b")

        self.send(process)

        self.assertEqual(self.line(process),
                         "pyhost: interrupted: waiting for 2 running calls; press Ctrl-C again to stop them\n")
        for name in "abcd":
            (self.folder / name).touch()
        result = self.finish(process, timeout=20)
        self.assert_status(result, 130)
        self.assertEqual(result.out, '"a"\n"b"\n')
        self.assertEqual(result.err, "pyhost: interrupted: 2 of 4 calls done\n")

    def test_the_second_kills_and_keeps_what_was_done(self):
        process = self.start_map("wait_for", "-j2", "-R")
        (self.folder / "a").touch()
        self.feed(process, "a\nb\nc\n")
        self.running("a", "b", "c")

        self.send(process)
        self.assert_says(self.line(process), "waiting for 2 running calls")
        self.send(process)

        result = self.finish(process, timeout=10)
        self.assert_status(result, 130)
        self.assertEqual(result.out, '"a"\n')
        self.assertEqual(result.err, "pyhost: interrupted: 1 of 3 calls done\n")

    def test_from_a_terminal_it_reaches_workers_too_and_costs_no_call(self):
        process = self.start_map("wait_for", "-j2", "-R", preexec=os.setsid)
        self.feed(process, "a\nb\n")
        self.running("a", "b")

        os.killpg(process.pid, signal.SIGINT)
        self.assert_says(self.line(process), "waiting for 2 running calls")
        for name in "ab":
            (self.folder / name).touch()

        result = self.finish(process, timeout=20)
        self.assert_status(result, 130)
        self.assertEqual(result.out, '"a"\n"b"\n')

    def test_without_a_call_it_ends_at_once_in_one_line(self):
        process = self.start_map("same", "-j2")
        self.feed(process, "1\n")
        self.assertEqual(process.stdout.readline(), b"1\n")

        self.send(process)

        result = self.finish(process, timeout=10)
        self.assert_status(result, 130)
        self.assertEqual(result.err, "pyhost: interrupted: 1 of 1 calls done\n")

    def test_at_any_moment_it_leaves_whole_lines_and_nothing_else(self):
        seed = int.from_bytes(os.urandom(4), "big")
        chance = random.Random(seed)
        for round_number in range(12):
            with self.subTest(seed=seed, round=round_number):
                number = chance.choice((signal.SIGINT, signal.SIGTERM))
                signals = chance.randint(1, 3)
                process = self.start_map("nap", "-j2", *chance.choice((("--records",), ("--unordered",), ())))
                self.feed(process, "".join(f"{n}\n" for n in range(500)))
                time.sleep(chance.random() ** 3 * 0.7)  # any moment, those of starting up more often
                for _ in range(signals):
                    process.send_signal(number)
                    time.sleep(chance.random() * 0.01)

                result = self.finish(process, timeout=20)

                # Before the handlers are there, the signal ends the command as any other.
                self.assertIn(result.status, (128 + number, -number), result)
                self.assertNotIn("Traceback", result.err)
                self.assertLessEqual(len(result.err.splitlines()), 2, result)
                for line in result.out.splitlines():
                    json.loads(line)
                self.assertTrue(result.out == "" or result.out.endswith("\n"), result)
                self.assertEqual(self.wait_for_no_descendants(harness.GONE_WITHIN), {})

    def test_a_call_is_asked_to_stop_and_can_clean_up(self):
        process = self.start(PYHOST, "call", "script.py:clean_up", '"a"', "--python", PYTHON)
        self.running("a")

        self.send(process)

        result = self.finish(process, timeout=20)
        self.assert_status(result, 130)
        self.assertEqual((result.out, result.err), ("", "pyhost: interrupted: 0 of 1 calls done\n"))
        self.assertTrue((self.folder / "a.cleaned").exists())

    def test_a_call_that_does_not_stop_is_killed_by_the_second(self):
        self.script("import itertools\ndef hold():\n    open('hold.running', 'w').close()\n"
                    "    sum(itertools.repeat(0, 10**13))\n", "hold.py")
        process = self.start(PYHOST, "call", "hold.py:hold", "--grace", "1h", "--python", PYTHON)
        self.running("hold")

        self.send(process)
        self.send(process)

        result = self.finish(process, timeout=10)
        self.assert_status(result, 130)


class Terminate(Signals):
    def test_it_waits_as_an_interrupt_does_and_has_its_own_status(self):
        process = self.start_map("wait_for", "-j1", "-R")
        self.feed(process, "a\nb\n")
        self.running("a")

        self.send(process, signal.SIGTERM)
        self.assertEqual(self.line(process),
                         "pyhost: interrupted: waiting for 1 running call; press Ctrl-C again to stop it\n")
        (self.folder / "a").touch()

        result = self.finish(process, timeout=20)
        self.assert_status(result, 143)
        self.assertEqual(result.out, '"a"\n')


class Question(Signals):
    def test_every_workers_call_and_stack_are_shown_and_the_map_goes_on(self):
        process = self.start_map("wait_for", "-j2", "-R")
        self.feed(process, "a\nb\n")
        self.running("a", "b")

        process.send_signal(signal.SIGUSR1)

        self.assertEqual(self.line(process), "pyhost: 2 workers\n")
        shown = [self.line(process)]
        while sum("in wait_for" in line for line in shown) < 2:
            shown.append(self.line(process))
        for name in "ab":
            (self.folder / name).touch()
        result = self.finish(process, timeout=20)
        self.assert_status(result, 0)
        self.assertEqual(result.out, '"a"\n"b"\n')
        text = "".join(shown)
        self.assert_says(text, "worker 0 (pid ", "worker 1 (pid ", 'wait_for("a"), for ', 'wait_for("b"), for ')
        self.assertNotIn("Traceback", text + result.err)

    def test_idle_workers_say_so(self):
        process = self.start_map("same", "-j1")
        self.feed(process, "1\n")
        process.stdout.readline()

        process.send_signal(signal.SIGUSR1)

        self.assertEqual(self.line(process), "pyhost: 1 worker\n")
        self.assertRegex(self.line(process), r"^worker 0 \(pid \d+\): idle\n$")
        self.assert_status(self.finish(process), 0)

    def test_asking_often_changes_nothing(self):
        process = self.start_map("nap", "-j2")
        self.feed(process, "".join(f"{n}\n" for n in range(400)))
        process.stdout.readline()
        for _ in range(20):
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.01)

        result = self.finish(process, timeout=60)

        self.assert_status(result, 0)
        self.assertEqual(result.out, "".join(f"{n}\n" for n in range(1, 400)))

    def test_a_single_call_answers_too(self):
        process = self.start(PYHOST, "call", "script.py:spin", '"a"', "--python", PYTHON)
        self.running("a")

        process.send_signal(signal.SIGUSR1)

        self.assertEqual(self.line(process), "pyhost: 1 worker\n")
        self.assert_says(self.line(process), "spin", '"a"')
        self.send(process)
        self.assert_status(self.finish(process, timeout=20), 130)


class ClosedOutput(Signals):
    def test_head_takes_what_it_wants_and_everything_ends_without_a_word(self):
        result = self.run_program("bash", "-c", f"seq 100000 | {PYHOST} map script.py:same -j2 --python {PYTHON} | head -3; "
                                  "echo ${PIPESTATUS[1]}")

        self.assertEqual(result.out, "1\n2\n3\n141\n")
        self.assertEqual(result.err, "")


if __name__ == "__main__":
    harness.main()
