"""`pyhost run` re-routes the process pools of unchanged scripts; all else stays as under python3."""

import multiprocessing
import os
import re
import signal

import harness
from harness import PYHOST, PYTHON

IMAGES = ("executable", "libpython")
START = "fork" if multiprocessing.get_all_start_methods()[0] == "fork" else "zygote"  # of pools that ask for none
OTHER_METHOD = "spawn" if START == "fork" else "fork"  # which is not the default

FUTURES = '''
import concurrent.futures, os, sys
from concurrent.futures import ProcessPoolExecutor

def square(x):
    return x * x

def worker(_):
    pyhost = sys.modules.get("pyhost")
    return pyhost is not None and pyhost.current_worker() is not None

if __name__ == "__main__":
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(list(executor.map(square, range(5))), executor.submit(square, 9).result())
        print(isinstance(executor, concurrent.futures.process.ProcessPoolExecutor), executor._max_workers)
        print(sum(executor.map(worker, range(3))), file=sys.stderr)
'''


class Adopted(harness.E2E):
    def run_(self, *words, **more):
        return self.pyhost("run", "--python", PYTHON, *words, **more)

    def assert_as_under_python(self, name, *options):
        """Same output and status under `pyhost run` as under python3, on both images; what it said on stderr."""
        expected = self.run_program(PYTHON, name)
        for image in IMAGES:
            result = self.run_("--image", image, *options, name)

            self.assertEqual((result.status, result.out), (expected.status, expected.out), result)
        return result.err


class Futures(Adopted):
    def test_a_process_pool_executor_runs_on_pyhost(self):
        self.script(FUTURES)

        self.assertEqual(self.assert_as_under_python("script.py"), "3\n")

    def test_adopt_says_whose_pools_are_re_routed(self):
        self.script(FUTURES)

        for value, workers in (("none", 0), ("joblib,multiprocessing", 0), ("futures", 3), ("all", 3)):
            self.assertEqual(self.run_("script.py", "--adopt", value).err, f"{workers}\n")

    def test_a_wrong_name_is_refused_with_the_closest(self):
        result = self.run_("-c", "1", "--adopt", "future")

        self.assert_status(result, 2)
        self.assert_says(result.err, "`--adopt future`", "did you mean `futures`?")

    def test_verbose_says_where_each_pool_was_made(self):
        self.script(FUTURES)

        err = self.run_("-v", "script.py").err

        self.assertEqual(err, f"pyhost: ProcessPoolExecutor(2) at script.py:13 runs on pyhost ({START}, 2 workers)\n3\n")

    def test_adopted_tells_a_script_and_is_empty_under_python(self):
        self.script("import pyhost\n"
                    "print(pyhost.adopted())\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "print(pyhost.adopted())\n"
                    "ProcessPoolExecutor(1).shutdown()\n"
                    "print(pyhost.adopted())\n")
        packages = {"PYTHONPATH": str(harness.BUILD / "lib/pyhost/python")}

        self.assertEqual(self.run_("script.py").out, "{}\n{'futures': 0}\n{'futures': 1}\n")
        self.assertEqual(self.run_("script.py", "--adopt", "none").out, "{}\n" * 3)
        self.assertEqual(self.run_program(PYTHON, "script.py", env=packages).out, "{}\n" * 3)

    def test_the_script_s_numbers_count_and_workers_is_for_the_rest(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "print(ProcessPoolExecutor(3)._max_workers, ProcessPoolExecutor()._max_workers)\n")

        self.assertEqual(self.run_("script.py", "-j5").out, "3 5\n")

    def test_the_start_method_is_the_script_s(self):
        self.script("import multiprocessing\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    for method in ('fork', 'spawn', 'forkserver'):\n"
                    "        ProcessPoolExecutor(1, multiprocessing.get_context(method)).shutdown()\n")

        lines = self.run_("script.py", "-v").err.splitlines()

        self.assertEqual([line.partition("on pyhost ")[2] for line in lines],
                         ["(fork, 1 worker)", "(zygote, 1 worker)", "(zygote, 1 worker)"])

    def test_start_is_for_pools_that_ask_for_none(self):
        self.script("import multiprocessing\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    ProcessPoolExecutor(1).shutdown()\n"
                    "    multiprocessing.Pool(1).terminate()\n"
                    f"    ProcessPoolExecutor(1, multiprocessing.get_context('{OTHER_METHOD}')).shutdown()\n")
        other = "fork" if OTHER_METHOD == "fork" else "zygote"

        for start in ("fork", "zygote"):
            lines = self.run_("script.py", "-v", "--start", start).err.splitlines()

            self.assertEqual([line.partition("on pyhost ")[2] for line in lines],
                             [f"({start}, 1 worker)"] * 2 + [f"({other}, 1 worker)"])

    def test_methods_are_documented_as_under_python(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "from multiprocessing.pool import Pool\n"
                    "print(ProcessPoolExecutor.__doc__, Pool.__doc__)\n"
                    "for method in (ProcessPoolExecutor.submit, ProcessPoolExecutor.map, ProcessPoolExecutor.shutdown,\n"
                    "               Pool.apply, Pool.imap_unordered, Pool.map_async):\n"
                    "    print(method.__qualname__, method.__doc__)\n")

        self.assert_as_under_python("script.py")

    def test_subclasses_may_override_submit(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "class Counting(ProcessPoolExecutor):\n"
                    "    def __init__(self):\n"
                    "        super().__init__(max_workers=2)\n"
                    "        self.count = 0\n"
                    "    def submit(self, fn, *args):\n"
                    "        self.count += 1\n"
                    "        return super().submit(fn, *args)\n"
                    "if __name__ == '__main__':\n"
                    "    with Counting() as executor:\n"
                    "        print(executor.submit(abs, -1).result(), list(executor.map(abs, range(-5, 0))))\n"
                    "        print(executor.count)\n")

        self.assert_as_under_python("script.py")

    def test_who_overrides_internals_keeps_the_standard_library_s_pool(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "class Inner(ProcessPoolExecutor):\n"
                    "    def _start_executor_manager_thread(self):\n"
                    "        print('starts')\n"
                    "        super()._start_executor_manager_thread()\n"
                    "if __name__ == '__main__':\n"
                    "    with Inner(1) as executor:\n"
                    "        print(executor.submit(abs, -1).result())\n")

        err = self.assert_as_under_python("script.py", "-v")

        self.assertEqual(err, "pyhost: Inner(1) at script.py:7 is left alone: "
                              "`Inner` overrides `_start_executor_manager_thread`\n")

    def test_a_crash_costs_one_task(self):
        self.script("import os\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "from concurrent.futures.process import BrokenProcessPool\n"
                    "def f(x):\n"
                    "    if x == 3: os._exit(1)\n"
                    "    return x\n"
                    "if __name__ == '__main__':\n"
                    "    with ProcessPoolExecutor(2) as executor:\n"
                    "        for future in [executor.submit(f, x) for x in range(6)]:\n"
                    "            try:\n"
                    "                print(future.result())\n"
                    "            except BrokenProcessPool:\n"
                    "                print('broken')\n")

        self.assertEqual(self.run_("script.py").out, "0\n1\n2\nbroken\n4\n5\n")

    def test_processes_have_the_names_that_workers_have_themselves(self):
        self.script(NAMES)

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_a_call_that_runs_goes_on_when_its_awaiter_is_cancelled(self):
        self.script(CANCELLED)

        self.assertEqual(self.assert_as_under_python("script.py"), "")


NAMES = '''
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor

def who(_):
    return os.getpid(), multiprocessing.current_process().name

def check(pairs, processes):
    print(set(pairs) <= {(process.pid, process.name) for process in processes})

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            check(pool.map(who, range(8), 1), pool._pool)
        with ProcessPoolExecutor(2, context) as executor:
            check(executor.map(who, range(8)), executor._processes.values())
'''

CANCELLED = '''
import asyncio, os, pathlib, tempfile, time
from concurrent.futures import ProcessPoolExecutor

def work(folder):
    (folder / "begun").touch()
    while not (folder / "cancelled").exists():
        time.sleep(0.01)
    time.sleep(0.3)  # time for an interruption to come
    (folder / "done").touch()

async def main(folder):
    with ProcessPoolExecutor(1) as executor:
        call = asyncio.get_running_loop().run_in_executor(executor, work, folder)
        while not (folder / "begun").exists():
            await asyncio.sleep(0.01)
        print(call.cancel())
        try:
            await call
        except asyncio.CancelledError:
            print("cancelled")
        await asyncio.sleep(0)  # the loop passes that on
        (folder / "cancelled").touch()
    print((folder / "done").exists())

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(pathlib.Path(folder)))
'''


POOL = '''
import multiprocessing, multiprocessing.pool, pickle, sys

def square(x):
    return x * x

def add(x, y):
    return x + y

def remember(lock, number):
    global shared
    shared = lock, number

def count(_):
    with shared[0]:
        shared[1].value += 1

def append(values):
    values.append(1)
    return values

def worker(_):
    pyhost = sys.modules.get("pyhost")
    return pyhost is not None and pyhost.current_worker() is not None

def name(_):
    return multiprocessing.current_process().name

def is_main():
    return __name__

if __name__ == "__main__":
    context = multiprocessing.get_context(%r)
    with context.Pool(2) as pool:
        print(pool.map(square, range(5)), pool.apply(add, (1,), {"y": 2}), pool.starmap(add, [(1, 2), (3, 4)]))
        print(list(pool.imap(square, range(5), 2)), sorted(pool.imap_unordered(square, range(5))))
        print(pool.apply_async(append, ([],), callback=print).get(), pool._processes, pool._state)
        print(pool.map_async(square, range(3)).get(), pool.starmap_async(add, [(1, 2)]).get())
        print(isinstance(pool, multiprocessing.pool.Pool), type(pool) is pickle.loads(pickle.dumps(type(pool))))
        print(sum(pool.map(worker, range(3))), file=sys.stderr)
        print({name.rstrip("0123456789") for name in pool.map(name, range(9))}, pool.apply(is_main))
    try:
        pool.map(square, [1])
    except ValueError as error:
        print(error)
    number = context.Value("i", 0)
    pool = context.Pool(2, remember, (context.Lock(), number))
    pool.map(count, range(20))
    pool.close()
    pool.join()
    print(number.value, pool)
'''


class Multiprocessing(Adopted):
    def test_a_pool_of_any_context_runs_on_pyhost(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                self.script(POOL % method)

                self.assertEqual(self.assert_as_under_python("script.py"), "3\n")

    def test_a_thread_pool_stays_what_it_is_and_counts_as_a_pool(self):
        self.script("from multiprocessing.pool import Pool, ThreadPool\n"
                    "import multiprocessing, os, threading\n"
                    "with ThreadPool(2) as pool:\n"
                    "    print(pool.map(abs, [-1, 2]), pool.apply(os.getpid) == os.getpid())\n"
                    "    print(isinstance(pool, Pool), issubclass(ThreadPool, Pool), len(pool._pool))\n"
                    "with multiprocessing.pool.ThreadPool() as pool:\n"
                    "    print(pool.apply(threading.current_thread) in pool._pool)\n")

        self.assertEqual(self.assert_as_under_python("script.py", "-v"), "")

    def test_subclasses_may_override_what_is_documented(self):
        self.script("import multiprocessing.pool\n"
                    "class Loud(multiprocessing.pool.Pool):\n"
                    "    def __init__(self):\n"
                    "        super().__init__(processes=2)\n"
                    "    def apply_async(self, *args, **more):\n"
                    "        print('starts')\n"
                    "        return super().apply_async(*args, **more)\n"
                    "if __name__ == '__main__':\n"
                    "    with Loud() as pool:\n"
                    "        print(pool.apply(abs, (-1,)), isinstance(pool, Loud))\n")

        self.assertEqual(self.assert_as_under_python("script.py", "-v"),
                         f"pyhost: Loud(2) at script.py:4 runs on pyhost ({START}, 2 workers)\n")

    def test_processes_of_one_s_own_make_keep_the_standard_library_s_pool(self):
        self.script("import multiprocessing, multiprocessing.pool\n"
                    "class Process(multiprocessing.context.ForkProcess):\n"
                    "    daemon = property(lambda self: False, lambda self, value: None)\n"
                    "class Context(type(multiprocessing.get_context('fork'))):\n"
                    "    Process = Process\n"
                    "class Nested(multiprocessing.pool.Pool):\n"
                    "    def __init__(self, *args):\n"
                    "        super().__init__(*args, context=Context())\n"
                    "def outer(n):\n"
                    "    with multiprocessing.Pool(1) as pool:\n"
                    "        return pool.map(abs, range(-n, 0))\n"
                    "if __name__ == '__main__':\n"
                    "    with Nested(2) as pool:\n"
                    "        print(pool.map(outer, [2, 3]))\n")

        err = self.assert_as_under_python("script.py", "-v")

        self.assert_says(err, "pyhost: Nested(2) at script.py:8 is left alone: `Context` has a `Process` of its own\n")

    def test_contexts_of_an_unknown_start_method_keep_the_standard_library_s_pool(self):
        self.script("import multiprocessing\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "class Context(type(multiprocessing.get_context('fork'))):\n"
                    "    _name = 'clone'\n"
                    "if __name__ == '__main__':\n"
                    "    with Context().Pool(1) as pool:\n"
                    "        print(pool.map(abs, [-1, -2]))\n"
                    "    with ProcessPoolExecutor(1, Context()) as executor:\n"
                    "        print(executor.submit(abs, -3).result())\n")

        err = self.assert_as_under_python("script.py", "-v")

        reason = "is left alone: `clone` is no start method of multiprocessing"
        self.assertEqual(err, f"pyhost: multiprocessing.Pool(1) at script.py:6 {reason}\n"
                              f"pyhost: ProcessPoolExecutor(1) at script.py:8 {reason}\n")

    def test_pools_of_pyhost_count_as_pools_of_multiprocessing(self):
        self.script("import multiprocessing.pool, pyhost\n"
                    "if __name__ == '__main__':\n"
                    "    with pyhost.Pool(1) as pool:\n"
                    "        print(isinstance(pool, multiprocessing.pool.Pool))\n"
                    "        print(issubclass(pyhost.Pool, multiprocessing.pool.Pool))\n")

        result = self.run_("script.py")

        self.assertEqual((result.status, result.out, result.err), (0, "True\nTrue\n", ""))

    def test_a_manager_s_pool_works(self):
        self.script("import multiprocessing\n"
                    "if __name__ == '__main__':\n"
                    "    with multiprocessing.Manager() as manager:\n"
                    "        pool = manager.Pool(2)\n"
                    "        print(pool.map(abs, range(-5, 0)), pool.apply_async(abs, (-7,)).get())\n"
                    "        pool.close()\n"
                    "        pool.join()\n")

        self.assert_as_under_python("script.py")


class Joblib(Adopted):
    def test_its_default_backend_runs_on_pyhost_and_those_asked_for_do_not(self):
        self.script("import sys\n"
                    "from joblib import Parallel, delayed\n"
                    "def worker(x):\n"
                    "    pyhost = sys.modules.get('pyhost')\n"
                    "    return pyhost is not None and pyhost.current_worker() is not None\n"
                    "if __name__ == '__main__':\n"
                    "    for options in ({}, {'prefer': 'threads'}, {'backend': 'loky'}, {'n_jobs': 1}):\n"
                    "        print(sum(Parallel(**{'n_jobs': 2, **options})(delayed(worker)(i) for i in range(4))))\n")

        result = self.run_("script.py", "-v")

        self.assertEqual((result.status, result.out), (0, "4\n0\n0\n0\n"), result)
        self.assertEqual(result.err, "pyhost: joblib.Parallel(n_jobs=2) at script.py:8 runs on pyhost "
                                     "(zygote, 2 workers)\n")

    def test_all_cpus_are_as_many_as_workers_says(self):
        self.script("from joblib import Parallel, delayed\n"
                    "if __name__ == '__main__':\n"
                    "    Parallel(n_jobs=-1)(delayed(abs)(i) for i in range(4))\n")

        workers = os.cpu_count() + 1

        err = self.run_("script.py", "-v", "--workers", workers).err

        self.assert_says(err, f"(zygote, {workers} workers)")

    def test_what_joblib_prints_names_the_backend_as_under_python(self):
        self.script("from joblib import Parallel, delayed\n"
                    "if __name__ == '__main__':\n"
                    "    Parallel(n_jobs=2, verbose=1)(delayed(abs)(i) for i in range(4))\n")

        expected, found = self.run_program(PYTHON, "script.py").err, self.run_("script.py").err

        self.assertIn("Using backend LokyBackend", expected)
        self.assertEqual(found.splitlines()[0], expected.splitlines()[0])


WAITING = '''
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor

def work(x):
    if x == 1:
        print("up", flush=True)
    time.sleep(60)

def futures():
    with ProcessPoolExecutor(2) as executor:
        list(executor.map(work, range(4)))

def leaving():
    with ProcessPoolExecutor(2) as executor:
        executor.submit(work, 1)

def ending():
    global executor
    executor = ProcessPoolExecutor(2)
    executor.submit(work, 1)

def pool():
    with multiprocessing.Pool(2) as pool:
        pool.map(work, range(4))

def joining():
    pool = multiprocessing.Pool(2)
    pool.map_async(work, range(4))
    pool.close()
    pool.join()

def parallel():
    from joblib import Parallel, delayed
    Parallel(n_jobs=2)(delayed(work)(x) for x in range(4))

def starting():
    print("up", flush=True)
    for _ in range(1000):
        multiprocessing.Pool(2).terminate()

if __name__ == "__main__":
    globals()[sys.argv[1]]()
'''


class Interrupted(Adopted):
    """By Ctrl-C, which the terminal sends to workers, too."""

    def interrupted(self, *words):
        process = self.start(PYHOST, "run", "--python", PYTHON, *words, preexec=os.setsid)
        self.assertEqual(process.stdout.readline(), b"up\n")
        os.killpg(process.pid, signal.SIGINT)
        return self.finish(process, timeout=30)

    def test_it_ends_in_one_line_with_python_s_status_wherever_the_script_waits(self):
        self.script(WAITING)
        for image in IMAGES:
            for way in ("futures", "leaving", "pool", "joining", "parallel", "starting"):
                with self.subTest(way, image=image):
                    result = self.interrupted("--image", image, "script.py", "--", way)

                    self.assertRegex(result.err, rf"\AKeyboardInterrupt at script\.py:\d+ in {way}\n\Z")
                    self.assertEqual(result.status, -signal.SIGINT)

    def test_what_the_script_left_to_finish_is_cancelled(self):
        self.script(WAITING)

        result = self.interrupted("script.py", "--", "ending")

        self.assertRegex(result.err, r"\AKeyboardInterrupt while .*\n\Z")
        self.assert_status(result, 0)  # python's: its last line was reached

    def test_another_exception_and_a_hook_of_the_script_s_are_as_under_python(self):
        self.script("import sys\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "ProcessPoolExecutor(1).shutdown()\n"
                    "if len(sys.argv) == 1:\n"
                    "    raise ValueError('x')\n"
                    "sys.excepthook = lambda kind, *rest: print('hook', kind.__name__)\n"
                    "raise KeyboardInterrupt\n")

        for arguments in ([], ["hook"]):
            expected = self.run_program(PYTHON, "script.py", *arguments)
            result = self.run_("script.py", "--", *arguments)

            self.assertEqual((result.status, result.out, result.err), (expected.status, expected.out, expected.err))


class LeftAlone(Adopted):
    def test_a_script_that_makes_no_pool_imports_nothing_of_pyhost(self):
        self.script("import json, threading, subprocess, multiprocessing, asyncio, concurrent.futures, sys\n"
                    "print(sorted(name for name in sys.modules if 'pyhost' in name and name != '_pyhost_core'))\n"
                    "print(sorted(set(sys.modules) - {'_pyhost_core', 'faulthandler'}))\n")

        self.assert_as_under_python("script.py")

    def test_modules_look_as_python_made_them(self):
        self.script("import concurrent.futures.process as process\n"
                    "print(process.__spec__.loader, process.__loader__ is process.__spec__.loader)\n"
                    "print(process.ProcessPoolExecutor, process.ProcessPoolExecutor.__module__)\n"
                    "import importlib, pickle\n"
                    "print(pickle.dumps(process.ProcessPoolExecutor))\n"
                    "importlib.reload(process)\n"
                    "print(process.ProcessPoolExecutor.__mro__[-2:])\n")

        expected = self.run_program(PYTHON, "script.py").out
        found = self.run_("script.py").out

        address = r" at 0x[0-9a-f]+"
        self.assertEqual(re.sub(address, "", found), re.sub(address, "", expected))


NESTED = """
import concurrent.futures, multiprocessing, os
import pyhost

def pid(_):
    return os.getpid()

def inner(kind, count):
    if kind == "joblib":
        import joblib
        pids = joblib.Parallel(n_jobs=count)(joblib.delayed(pid)(i) for i in range(4))
    else:
        make = {"futures": concurrent.futures.ProcessPoolExecutor, "multiprocessing": multiprocessing.Pool}[kind]
        with make(count) as pool:
            assert (pool._max_workers if kind == "futures" else pool._processes) == (count or 1)
            pids = list(pool.map(pid, range(4)))
    assert os.getpid() not in pids
    return pyhost.adopted()[kind]
"""


class Nested(Adopted):
    """Pools that tasks of adopted pools make."""

    def test_are_adopted_whatever_the_start_method(self):
        for method in ("fork", "forkserver", "spawn"):
            with self.subTest(method=method):
                outcome = self.run_(self.script(NESTED + f"""
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        for kind, count in ("futures", None), ("multiprocessing", None), ("multiprocessing", 2):
            assert executor.submit(inner, kind, count).result(30) >= 1
    with context.Pool(1) as pool:  # whose workers are daemons, which may have no others in the standard library
        assert pool.apply(inner, ("multiprocessing", None)) >= 1
"""), "--workers", 2)
                self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)

    def test_are_adopted_in_joblibs_workers_and_joblib_in_others(self):
        outcome = self.run_(self.script(NESTED + """
import joblib
if __name__ == "__main__":
    for kind in "futures", "multiprocessing":
        joblib.Parallel(n_jobs=2)(joblib.delayed(inner)(kind, None) for _ in range(2))
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            assert executor.submit(inner, "joblib", 2).result(30) >= 1
"""), "--workers", 2)
        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)

    def test_are_left_alone_where_the_driver_s_are(self):
        outcome = self.run_(self.script("""
import concurrent.futures
import pyhost
def shown():
    return concurrent.futures.ProcessPoolExecutor.__mro__[1].__module__
if __name__ == "__main__":
    with pyhost.Executor(1, start="zygote") as executor:
        print(executor.submit(shown).result(30))
"""), "--adopt", "multiprocessing", "--workers", 2)
        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "concurrent.futures._base\n"), outcome)


if __name__ == "__main__":
    harness.main()
