"""Whole programs: how they end, what they leave, what interrupts them."""

import signal
import unittest

from driver_case import DriverCase, PACKAGES


class Endings(DriverCase):
    def test_a_program_without_guard_or_shutdown_leaves_nothing(self):
        outcome = self.run_python("""
import pyhost
def square(x): return x * x
print(sum(pyhost.map(square, range(100))), pyhost.submit(square, 5).result())
executor = pyhost.Executor(2)
executor.submit(print, "printed by a worker at the end")
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assert_says(outcome.out, "328350 25", "printed by a worker at the end")

    def test_functions_that_are_dropped_at_the_end_say_nothing(self):
        outcome = self.run_python("""
import pyhost
def square(x): return x * x
kept = [pyhost.submit(square, 3).result(), pyhost.options(retries=1).submit(square, 4).result()]
print(kept)
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "[9, 16]\n", ""))

    def test_zygotes_do_not_run_the_script(self):
        outcome = self.run_python("""
import pyhost
print("loaded")
def square(x): return x * x
with pyhost.Executor(2, start="zygote") as executor:
    print(list(executor.map(square, range(4))))
""")
        self.assertEqual(outcome.out, "loaded\n[0, 1, 4, 9]\n")

    def test_an_uncaught_exception_ends_the_program_as_ever(self):
        outcome = self.run_python("""
import pyhost
def fail(): raise LookupError("gone")
pyhost.submit(fail).result()
""")
        self.assertEqual(outcome.status, 1)
        self.assert_says(outcome.err, '"""\nTraceback', "in fail", "direct cause", "LookupError: gone")

    def test_a_killed_program_leaves_nothing(self):
        for start in ("fork", "zygote"):
            process = self.start_python(f"""
import os, subprocess, sys, time, pyhost
def stuck():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("started", flush=True)
    time.sleep(1000)
executor = pyhost.Executor(2, start="{start}")
executor.submit(stuck)
time.sleep(1000)
""")
            self.assertEqual(process.stdout.readline(), b"started\n")
            process.kill()
            process.wait()
            self.assertEqual(self.wait_for_no_descendants(2), {})
            self.close(process)

    def test_a_pool_that_is_made_when_the_interpreter_ends_is_refused(self):
        outcome = self.run_python("""
import atexit, pyhost
@atexit.register
def late():
    for make in pyhost.Executor, pyhost.Pool:
        try:
            make(1)
        except RuntimeError as error:
            print(error)
print(pyhost.submit(abs, -1).result())
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assertEqual(outcome.out, "1\n" + "cannot schedule new futures after interpreter shutdown\n" * 2)

    def test_daemon_threads_that_wait_do_not_disturb_the_end(self):
        outcome = self.run_python("""
import threading, time, pyhost
executor = pyhost.Executor(1)
future = executor.submit(time.sleep, 0.3)
threading.Thread(target=future.result, daemon=True).start()
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))

    def test_where_there_can_be_no_more_threads_shutdown_finishes_the_calls_itself(self):
        outcome = self.run_python("""
import ctypes, pyhost
executor = pyhost.Executor(1)
first, second = executor.submit(abs, -1), executor.submit(abs, -2)
libc, attributes = ctypes.CDLL(None), ctypes.create_string_buffer(64)
libc.pthread_getattr_default_np(attributes)
libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(1 << 47))  # more than the address space has room for
libc.pthread_setattr_default_np(attributes)
executor.shutdown(wait=False)
print(first.done() and first.result(), second.done() and second.result())
try:
    pyhost.Executor(1).submit(abs, -3)
except RuntimeError as error:
    print(error)
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assert_says(outcome.out, "1 2\n", "starting the pool's thread", "`ulimit -u`")

    def test_threads_that_were_joined_do_not_change_the_start_method(self):
        outcome = self.run_python("""
import threading, pyhost
from pyhost import _settings
for _ in range(300):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert _settings.choose_start("auto") == "fork"
gate = threading.Event()
threading.Thread(target=gate.wait).start()
assert _settings.choose_start("auto") == "zygote"
gate.set()
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))

    def test_daemon_threads_that_submit_do_not_disturb_the_end(self):
        for _ in range(3):
            outcome = self.run_python("""
import threading, time, pyhost
begun = threading.Event()
class Slow:
    def __reduce__(self):
        begun.set()
        time.sleep(0.001)
        return int, ()
executor = pyhost.Executor(1)
executor.submit(len, []).result()
for _ in range(3):
    threading.Thread(target=executor.submit, args=(len, [Slow() for _ in range(10_000)]), daemon=True).start()
begun.wait()
""")
            self.assertEqual((outcome.status, outcome.err), (0, ""))


class Interrupts(DriverCase):
    def interrupt(self, text):
        # A shell that runs the tests in the background made its children ignore the signal.
        process = self.start_python(text, preexec=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        self.assertEqual(process.stdout.readline(), b"waiting\n")
        process.send_signal(signal.SIGINT)
        return self.finish(process, timeout=20)

    def test_ctrl_c_ends_a_wait_for_a_result(self):
        outcome = self.interrupt("""
import time, pyhost
def stuck(): time.sleep(1000)
future = pyhost.submit(stuck)
print("waiting")
future.result()
""")
        self.assertEqual(outcome.status, -signal.SIGINT)
        self.assertEqual(outcome.err.count("Traceback"), 1)
        self.assertLess(outcome.seconds, 10)

    def test_ctrl_c_ends_a_map_within_an_executor(self):
        outcome = self.interrupt("""
import time, pyhost
def stuck(x): time.sleep(1000)
with pyhost.Executor(2) as executor:
    results = executor.map(stuck, range(100))
    print("waiting")
    next(results)
""")
        self.assertEqual(outcome.status, -signal.SIGINT)
        self.assertEqual(outcome.err.count("Traceback"), 1)

    def test_a_caught_ctrl_c_leaves_the_pool_usable(self):
        outcome = self.interrupt("""
import time, pyhost
def stuck(): time.sleep(1000)
executor = pyhost.Executor(1)
future = executor.submit(stuck)
try:
    print("waiting")
    future.result()
except KeyboardInterrupt:
    future.cancel(force=True)
print(executor.submit(pow, 2, 5).result())
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "32\n", ""))


class Forks(DriverCase):
    def test_user_code_may_fork_and_use_a_pool_of_its_own_there(self):
        outcome = self.run_python("""
import os, pyhost, warnings
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # a pool has threads
print(pyhost.submit(pow, 2, 3).result(), flush=True)
pid = os.fork()
if pid == 0:
    print(pyhost.submit(pow, 2, 4).result(), flush=True)
    raise SystemExit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
print(pyhost.submit(pow, 2, 5).result())
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "8\n16\n7\n32\n", ""))

    def test_a_pool_is_refused_in_a_forked_process(self):
        outcome = self.run_python("""
import os, pyhost
executor = pyhost.Executor(1)
executor.submit(pow, 2, 3).result()
if os.fork() == 0:
    try:
        executor.submit(pow, 2, 4)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
print(executor.submit(pow, 2, 5).result())
""")
        self.assert_says(outcome.out, "belongs to the process this one was forked from", "\n32\n")

    def test_a_task_that_uses_the_pool_it_runs_on_is_refused(self):
        outcome = self.run_python("""
import pyhost
executor = pyhost.Executor(1, start="fork")
def submit(): return executor.submit(abs, 1).result()
def map(): return list(executor.map(abs, [1]))
def leave():
    with executor: pass
def drop():
    global executor
    del executor
for _ in range(2):  # the second round is in a new worker
    for task in (submit, map, leave, drop):
        print(executor.submit(task).exception(timeout=20), flush=True)
    executor.submit(__import__("os")._exit, 1).exception()
""")
        refusal = "this pool belongs to the process this one was forked from; make a new one here, or use " \
                  "`pyhost.submit` and `pyhost.map`"
        expected = f"{refusal}\n{refusal}\nNone\nNone\n" * 2
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, expected, ""))

    def test_multiprocessing_works_beside_a_pool(self):
        outcome = self.run_python("""
import multiprocessing, pyhost
def square(x): return x * x
print(list(pyhost.map(square, range(3))), flush=True)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(square, range(4)))
""")
        self.assertEqual((outcome.status, outcome.out), (0, "[0, 1, 4]\n[0, 1, 4, 9]\n"))


class Imports(DriverCase):
    def test_a_missing_core_is_an_import_error_that_names_versions(self):
        outcome = self.run_python("import pyhost", env={"PYHOST_RUNTIME_DIR": "/nonexistent"})

        self.assertEqual(outcome.status, 1)
        self.assert_says(outcome.err, "ImportError: pyhost has no core for CPython 3.", "/nonexistent", "PYHOST_PYTHONS")

    def test_importing_does_not_import_what_it_may_not_need(self):
        outcome = self.run_python("""
import sys
before = set(sys.modules)
import pyhost
print(sorted(name for name in set(sys.modules) - before if "pyhost" not in name))
""")
        self.assertEqual(outcome.out, "[]\n")

    def test_dir_lists_all_names_before_any_was_used(self):
        outcome = self.run_python("""
import pyhost
print(sorted(set(pyhost.__all__) - set(dir(pyhost))), len(pyhost.__all__) > 20)
""")
        self.assertEqual(outcome.out, "[] True\n")

    def test_the_package_is_usable_without_cloudpickle_under_fork(self):
        for name in ("cloudpickle", "joblib"):
            (self.folder / f"{name}.py").write_text("raise ImportError('absent')")
        outcome = self.run_python("""
import pyhost
def square(x): return x * x
with pyhost.Executor(1, start="fork") as executor:
    print(list(executor.map(lambda x: x + 1, range(3))), executor.submit(square, 4).result())
with pyhost.Executor(1, start="zygote") as executor:
    print(executor.submit(square, 4).exception())
""", env={"PYTHONPATH": f"{self.folder}:{PACKAGES}"})
        self.assertEqual(outcome.status, 0, outcome)
        self.assert_says(outcome.out, "[1, 2, 3] 16", "`square` of `__main__`", "python3-cloudpickle")


if __name__ == "__main__":
    unittest.main(verbosity=2)
