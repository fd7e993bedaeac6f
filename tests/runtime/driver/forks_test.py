"""Scripts that fork, and scripts with threads, beside a pool or within its tasks."""

import unittest

from driver_case import DriverCase

# From 3.12 on os.fork() warns of the threads that a pool has, as the standard library's.
PROGRAM = """
import multiprocessing, os, sys, threading, warnings
import pyhost
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)

def square(x): return x * x

def in_child(function):
    '''What a forked process sends through a pipe; its pool is its own.'''
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(function()).encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 100).decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(reader)
    return text

def default(): return pyhost.submit(square, 4).result(timeout=30)
"""


class Forks(DriverCase):
    def assert_prints(self, text, body):
        for start in "fork", "zygote":
            with self.subTest(start):
                outcome = self.run_python(PROGRAM + body, start)

                self.assertEqual((outcome.status, outcome.out, outcome.err), (0, text, ""), outcome)

    def test_before_the_first_call_both_processes_may_start_the_pool(self):
        self.assert_prints("16 9\n", """
executor = pyhost.Executor(1, start=sys.argv[1])
there = in_child(default)
print(there, executor.submit(square, 3).result(timeout=30))
""")

    def test_with_calls_under_way_they_stay_the_parent_s(self):
        self.assert_prints("16 [0, 1, 4] 9\n", """
executor = pyhost.Executor(2, start=sys.argv[1])
results = executor.map(square, range(3))
future = executor.submit(square, 3)
print(in_child(default), list(results), future.result(timeout=30))
""")

    def test_a_future_under_way_says_in_a_copy_whose_it_is(self):
        self.assert_prints("this pool belongs to 9\n", """
import concurrent.futures
executor = pyhost.Executor(2, start=sys.argv[1])

def wait_and_square(x, reader): return os.read(os.open(reader, os.O_RDONLY), 1) and square(x)
path = os.path.join(os.path.dirname(__file__), "gate-" + sys.argv[1])
os.mkfifo(path)
future = executor.submit(wait_and_square, 3, path)
executor.submit(square, 1).add_done_callback(lambda _: None)
def wait():
    try: return concurrent.futures.wait([future])
    except RuntimeError as error: return str(error)[:20]
there = in_child(wait)
with open(path, "w") as file: file.write("x")
print(there, future.result(timeout=30))
""")

    def test_the_iterators_of_maps_say_in_a_copy_whose_they_are(self):
        self.assert_prints("8 True [0, 1, 4] [0, 1, 4] [0, 1, 4] [0, 1, 4]\n", """
executor = pyhost.Executor(2, start=sys.argv[1])
with pyhost.Pool(2, start=sys.argv[1]) as pool:
    results = executor.map(square, range(3))
    iterators = [pool.imap(square, range(3)), pool.imap_unordered(square, range(3))]
    result = pool.map_async(square, range(3))
    uses = [lambda: next(results), lambda: results.close(), lambda: iterators[0].next(timeout=1), lambda: next(iterators[1]),
            result.ready, result.wait, result.get, result.successful, lambda: results._take(5)]
    def refused():
        said = []
        for use in uses:
            try: use()
            except RuntimeError as error: said.append("this pool belongs to the process this one was forked from" in str(error))
        return f"{len(said)} {all(said)}"
    print(in_child(refused), list(results), list(iterators[0]), sorted(iterators[1]), result.get(timeout=30))
""")

    def test_a_task_may_fork(self):
        self.assert_prints("25 36\n", """
def task(): return in_child(lambda: square(5))
with pyhost.Executor(1, start=sys.argv[1]) as executor:
    print(executor.submit(task).result(timeout=30), executor.submit(square, 6).result(timeout=30))
""")

    def test_a_thread_may_fork(self):
        self.assert_prints("['16'] 9\n", """
executor = pyhost.Executor(1, start=sys.argv[1])
executor.submit(square, 1).result(timeout=30)
found = []
thread = threading.Thread(target=lambda: found.append(in_child(default)))
thread.start()
thread.join()
print(found, executor.submit(square, 3).result(timeout=30))
""")

    def test_processes_of_multiprocessing_run_beside_an_open_pool(self):
        self.assert_prints("25 25 9\n", """
def put(queue): queue.put(square(5))
if __name__ == "__main__":
    executor = pyhost.Executor(1, start=sys.argv[1])
    executor.submit(square, 1).result(timeout=30)
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        process = context.Process(target=put, args=(queue,))
        process.start()
        print(queue.get(), end=" ")
        process.join()
        assert process.exitcode == 0
    print(executor.submit(square, 3).result(timeout=30))
""")


class Couriers(DriverCase):
    """What the thread does that answers workers, while the driver forks."""

    def test_a_process_forked_while_it_imports_can_import_that(self):
        self.assert_prints_in_child("True", """
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "multiprocessing.resource_tracker":
            begun.set()
            go_on.wait()
begun, go_on = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slow())
executor = pyhost.Executor(1, start=sys.argv[1])
future = executor.submit(need_tracker)
begun.wait()
threading.Timer(0.1, go_on.set).start()
""", """
from multiprocessing import resource_tracker
print(resource_tracker.getfd() >= 0)
""")

    def test_a_process_forked_while_it_has_the_lock_of_the_tracker_can_have_one(self):
        self.assert_prints_in_child("True", """
from multiprocessing import resource_tracker
begun, go_on = threading.Event(), threading.Event()
def hold():
    with resource_tracker._resource_tracker._lock:
        begun.set()
        go_on.wait()
executor = pyhost.Executor(1, start=sys.argv[1])
executor.submit(need_tracker).result(timeout=30)
threading.Thread(target=hold).start()
begun.wait()
future = executor.submit(square, 3)
""", """
from multiprocessing import resource_tracker
print(resource_tracker.getfd() >= 0)
""", "go_on.set()")

    def assert_prints_in_child(self, text, before, in_child, after=""):
        program = PROGRAM + """
import signal
def need_tracker():
    from multiprocessing import resource_tracker
    resource_tracker.ensure_running()
""" + before + """
pid = os.fork()
if pid == 0:
    signal.alarm(20)
""" + "".join(f"    {line}\n" for line in in_child.strip().splitlines()) + """
    sys.stdout.flush()
    os._exit(0)
status = os.waitpid(pid, 0)[1]
""" + after + """
future.result(timeout=30)
assert status == 0, status
"""
        for start in "fork", "zygote":
            with self.subTest(start):
                outcome = self.run_python(program, start)

                self.assertEqual((outcome.status, outcome.out, outcome.err), (0, f"{text}\n", ""), outcome)


class Threads(DriverCase):
    def test_a_caller_with_threads_gets_workers_that_did_not_inherit_their_locks(self):
        outcome = self.run_python(PROGRAM + """
lock, held = threading.Lock(), threading.Event()
def hold():
    with lock:
        held.set()
        release.wait()
release = threading.Event()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
import pyhost._settings
print(pyhost._settings.choose_start("auto"), pyhost.submit(square, 3).result(timeout=30))
release.set()
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "zygote 9\n", ""), outcome)

    def test_a_copy_of_a_caller_with_pools_counts_the_threads_that_it_has_itself(self):
        outcome = self.run_python(PROGRAM + """
import pyhost._settings
executors = [pyhost.Executor(1, start="zygote") for _ in range(2)]
print([executor.submit(square, 3).result(timeout=30) for executor in executors], flush=True)
def choose_beside_threads():
    release = threading.Event()
    threads = [threading.Thread(target=release.wait) for _ in range(2)]
    for thread in threads: thread.start()
    chosen = pyhost._settings.choose_start("auto")
    release.set()
    return chosen
print(in_child(choose_beside_threads), in_child(lambda: pyhost._settings.choose_start("auto")))
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "[9, 9]\nzygote fork\n", ""), outcome)

    def run_beside_an_import(self, ends):
        """A task imports `begun` too, which a thread of the driver is importing as it forks."""
        (self.folder / "begun.py").write_text("""
import __main__
FIRST = 1
__main__.begun.set()
__main__.go_on.wait()
SECOND = 2
""")
        return self.run_python(f"""
import threading, pyhost
begun, go_on = threading.Event(), threading.Event()
def load(): import begun
def names():
    import begun
    return [name for name in vars(begun) if name.isupper()]
thread = threading.Thread(target=load)
thread.start()
begun.wait()
if {ends}: threading.Timer(0.2, go_on.set).start()
with pyhost.Executor(1, start="fork") as executor:
    print(executor.submit(names).result(timeout=30))
go_on.set()
""")

    def test_workers_have_whole_what_another_thread_was_importing(self):
        outcome = self.run_beside_an_import(ends=True)

        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "['FIRST', 'SECOND']\n", ""), outcome)

    def test_workers_do_not_wait_for_an_import_that_lasts(self):
        outcome = self.run_beside_an_import(ends=False)

        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, "['FIRST']\n", ""), outcome)

    def test_a_thread_that_a_fork_hook_starts_is_in_every_worker(self):
        outcome = self.run_python("""
import os, threading, pyhost
ever = threading.Event()
os.register_at_fork(after_in_child=lambda: threading.Thread(target=ever.wait, daemon=True, name="hooked").start())
def names(_): return [thread.name for thread in threading.enumerate()]
with pyhost.Executor(2, start="fork") as executor:
    print(["hooked" in names for names in executor.map(names, range(4))])
""", timeout=30)

        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, f"{[True] * 4}\n", ""), outcome)

    def test_many_threads_may_make_the_first_call_at_once(self):
        outcome = self.run_python(PROGRAM + """
together, found = threading.Barrier(8), []
def work(i):
    together.wait()
    found.append(pyhost.submit(square, i).result(timeout=30))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(found))
""")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, f"{[i * i for i in range(8)]}\n", ""), outcome)


if __name__ == "__main__":
    unittest.main(verbosity=2)
