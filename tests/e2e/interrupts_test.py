"""Ctrl-C of a script that uses pyhost's own interface ends it in one line, whatever it was doing, and leaves nothing."""

import os
import signal

import harness
from harness import PYHOST, PYTHON

# Whoever gets there says so; the terminal's signal reaches all of the process group.
SCRIPT = """
import sys, threading, time
import pyhost

start, way = sys.argv[1:]

def hold(x=None):
    print("up", flush=True)
    time.sleep(1000)

def nothing(x): return x

def starting():
    with pyhost.Executor(1, start=start, initializer=hold) as executor:
        executor.submit(nothing, 1).result()

def submitting():
    executor = pyhost.Executor(2, start=start)
    executor.submit(nothing, 1).result()
    print("up", flush=True)
    while True:
        executor.submit(nothing, 1)

def waiting():
    pyhost.Executor(1, start=start).submit(hold).result()

def mapping():
    for _ in pyhost.Executor(1, start=start).map(hold, range(100)):
        pass

def mapping_often():
    executor = pyhost.Executor(2, start=start)
    list(executor.map(nothing, [1]))
    print("up", flush=True)
    while True:
        list(executor.map(nothing, range(3)))

def leaving():
    with pyhost.Executor(1, start=start) as executor:
        executor.submit(hold)

def shutting():
    executor = pyhost.Executor(1, start=start)
    executor.submit(hold)
    executor.shutdown()

def threads():
    executor = pyhost.Executor(1, start=start)
    for _ in range(3):
        threading.Thread(target=lambda: executor.submit(hold).result()).start()
    while True:
        time.sleep(0.1)

def broadcasting():
    pyhost.Executor(1, start=start).broadcast(hold)

def calling_back():
    future = pyhost.Executor(1, start=start).submit(nothing, 1)
    future.add_done_callback(hold)
    while True:
        time.sleep(0.1)

globals()[way]()
"""

WAYS = [line[4:-3] for line in SCRIPT.splitlines() if line.startswith("def ") and line.endswith("():")]


class Interrupts(harness.E2E):
    def interrupt(self, *command):
        process = self.start(*command, preexec=own_group, env={"PYTHONPATH": str(harness.BUILD / "lib/pyhost/python")})
        self.assertEqual(process.stdout.readline(), b"up\n")
        os.killpg(process.pid, signal.SIGINT)
        return self.finish(process, timeout=30)

    def test_it_ends_in_one_line_under_pyhost_run(self):
        path = self.script(SCRIPT)
        for start in "fork", "zygote":
            for way in WAYS:
                with self.subTest(way, start=start):
                    result = self.interrupt(PYHOST, "run", "--python", PYTHON, path, "--", start, way)

                    self.assertRegex(result.err, rf"\AKeyboardInterrupt at script\.py:\d+ in {way}\n\Z")
                    self.assertEqual(result.status, -signal.SIGINT)
                    self.assertEqual(self.wait_for_no_descendants(harness.GONE_WITHIN), {})

    def test_no_moment_of_a_small_map_swallows_it(self):
        path = self.script(SCRIPT)
        for _ in range(12):
            result = self.interrupt(PYHOST, "run", "--python", PYTHON, path, "--", "fork", "mapping_often")

            self.assertRegex(result.err, r"\AKeyboardInterrupt at script\.py:\d+ in mapping_often\n\Z")
            self.assertEqual(result.status, -signal.SIGINT)

    def test_under_python_it_ends_with_python_s_traceback_alone(self):
        path = self.script(SCRIPT)
        for way in WAYS:
            if way == "threads":  # whose own tracebacks python prints
                continue
            with self.subTest(way):
                result = self.interrupt(PYTHON, path, "fork", way)

                self.assertEqual(result.err.count("Traceback"), 1, result.err)
                self.assertRegex(result.err, r"\nKeyboardInterrupt\n*\Z")
                self.assertEqual(result.status, -signal.SIGINT)
                self.assertEqual(self.wait_for_no_descendants(harness.GONE_WITHIN), {})


def own_group():
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored


if __name__ == "__main__":
    harness.main()
