"""Scripts as people have them: under `pyhost run` they say what they say under python3."""

import os
import resource
import select

import harness
from adopt_test import IMAGES, Adopted
from harness import PYHOST, PYTHON

GLOBALS = '''
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
pool, seen = None, "first"

def is_there(_):
    return pool is not None

def look(_):
    return seen

if __name__ == "__main__":
    pool = Pool(2)
    seen = "second"
    print(pool.map(is_there, range(3)), pool.map(look, range(3)))
    with ProcessPoolExecutor(1) as executor:
        print(executor.submit(look, 0).result())
        seen = "third"
        print(executor.submit(look, 0).result())
    pool.terminate()
'''

SEEDS = '''
import numpy
from multiprocessing import Pool

def draw(_):
    return numpy.random.randint(10**9)

if __name__ == "__main__":
    numpy.random.seed(7)
    with Pool(1) as pool:
        print(pool.map(draw, range(3)))
    with Pool(2) as pool:
        print(pool.map(draw, range(1)))
'''

INITIALIZER = '''
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

def prepare():
    raise LookupError("nothing there")

if __name__ == "__main__":
    executor = ProcessPoolExecutor(2, initializer=prepare)
    try:
        executor.submit(abs, 1).result()
    except BrokenProcessPool:
        print("broken")
    try:
        executor.submit(abs, 1)
    except BrokenProcessPool:
        print("accepts nothing")
'''

CHILDREN = '''
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def child():
    with multiprocessing.Pool(1):
        print(len(multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    pool = multiprocessing.Pool(2)
    print([process.name for process in sorted(multiprocessing.active_children(), key=lambda p: p.name)])
    with ProcessPoolExecutor(1) as executor:
        print(executor.submit(abs, -1).result(), len(multiprocessing.active_children()))
    pool.terminate()
    pool.join()
    process = multiprocessing.Process(target=child)
    process.start()
    print(len(multiprocessing.active_children()), flush=True)
    process.join()
    print(multiprocessing.active_children(), flush=True)
    left = multiprocessing.Pool(1)
'''

CLOSED = '''
import os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool, get_context

def square(x):
    print(x, file=sys.stderr if x < 0 else sys.stdout, flush=True)  # python3 ends workers with what they have not flushed
    return x * x

def is_closed(fd):
    return subprocess.run([sys.executable, "-c", f"import os; os.fstat({fd})"], stderr=subprocess.DEVNULL).returncode

if __name__ == "__main__":
    print("hello")
    closed = [stream is None for stream in (sys.stdin, sys.stdout, sys.stderr)]
    for method in "fork", "spawn":
        with get_context(method).Pool(1) as pool:
            assert pool.map(square, range(3)) == [0, 1, 4]
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(square, 3).result() == 9
    assert closed[2] or [bool(is_closed(fd)) for fd in range(2)] == closed[:2]
    print(closed, file=sys.stderr or sys.stdout)
'''

ORDER = '''
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor

def task(x):
    if x == 0:
        print("task", flush=True)

if __name__ == "__main__":
    print("main starts")
    if sys.argv[1] == "joblib":
        import joblib
        joblib.Parallel(2)(joblib.delayed(task)(x) for x in range(2))
    elif sys.argv[1] == "executor":
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
            executor.submit(task, 0).result()
    else:
        with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
            pool.apply(task, (0,))
    print("main ends")
'''

STATE = '''
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

class Asked:
    asked = 0

    def __getstate__(self):
        Asked.asked += 1
        return {"state": [1, 2]}

def state_of(thing):
    return thing.state

def executors():
    for method in "fork", "spawn", "forkserver":
        yield ProcessPoolExecutor(1, multiprocessing.get_context(method))

if __name__ == "__main__":
    for executor in executors():
        with executor:
            Asked.asked = 0
            state = executor.submit(state_of, Asked()).result()
            print(Asked.asked, state)
'''


class Unchanged(Adopted):
    def test_globals_are_those_of_the_fork_and_may_be_what_cannot_be_sent(self):
        self.script(GLOBALS)

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_a_seed_of_the_script_s_own_is_what_copies_go_on_from(self):
        self.script(SEEDS)

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_copies_of_a_script_that_seeded_nothing_draw_different_numbers(self):
        self.script("import numpy, multiprocessing\n"
                    "def draw(barrier):\n"
                    "    barrier.wait(30)\n"
                    "    return numpy.random.randint(10**9)\n"
                    "if __name__ == '__main__':\n"
                    "    with multiprocessing.Manager() as manager, multiprocessing.Pool(2) as pool:\n"
                    "        print(len(set(pool.map(draw, [manager.Barrier(2)] * 2, chunksize=1))))\n")

        self.assertEqual(self.run_("script.py").out, "2\n")

    def test_an_executor_whose_initializer_raised_accepts_nothing(self):
        self.script(INITIALIZER)

        self.assert_as_under_python("script.py")

    def test_workers_are_active_children(self):
        self.script(CHILDREN)

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_builtins_that_look_into_a_frame_can_be_mapped(self):
        self.script("import multiprocessing\n"
                    "if __name__ == '__main__':\n"
                    "    for method in multiprocessing.get_all_start_methods():\n"
                    "        with multiprocessing.get_context(method).Pool(1) as pool:\n"
                    "            print(pool.map(eval, ['6 * 7', 'len(\"ab\")']), pool.apply(exec, ('1',)))\n")

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_what_the_main_module_prints_on_import_goes_to_stdout(self):
        self.script("import multiprocessing\n"
                    "print('this is', __name__, flush=True)\n"
                    "if __name__ == '__main__':\n"
                    "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
                    "        print(pool.map(abs, [-1]))\n")

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_an_argument_that_is_too_deep_is_a_recursion_error(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    deep = []\n"
                    "    for _ in range(50000):\n"
                    "        deep = [deep]\n"
                    "    with ProcessPoolExecutor(1) as executor:\n"
                    "        print(isinstance(executor.submit(id, deep).exception(), RecursionError))\n")

        self.assert_as_under_python("script.py")

    def test_futures_cannot_be_awaited(self):
        self.script("import inspect\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    with ProcessPoolExecutor(1) as executor:\n"
                    "        print(inspect.isawaitable(executor.submit(abs, -1)))\n")

        self.assert_as_under_python("script.py")

    def test_what_cannot_be_called_fails_its_call(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    with ProcessPoolExecutor(1) as executor:\n"
                    "        print(repr(executor.submit(5).exception()))\n")

        self.assert_as_under_python("script.py")

    def test_an_argument_too_many_is_told_by_the_name_of_the_class(self):
        self.script("from concurrent.futures import ProcessPoolExecutor\n"
                    "try:\n"
                    "    ProcessPoolExecutor(worker=2)\n"
                    "except TypeError as error:\n"
                    "    print(error)\n")

        self.assert_as_under_python("script.py")

    def test_streams_that_are_closed_at_the_start_are_none(self):
        self.script(CLOSED)

        for closed in range(3):
            for image in IMAGES:
                with self.subTest(closed=closed, image=image):
                    result = self.run_("--image", image, "script.py", preexec=lambda: os.close(closed))

                    self.assert_status(result, 0)
                    expected = self.run_program(PYTHON, "script.py", preexec=lambda: os.close(closed))
                    self.assertEqual((result.status, result.out, result.err),
                                     (expected.status, expected.out, expected.err), result)

    def test_what_workers_print_goes_into_no_file_that_has_the_number_of_a_closed_stream(self):
        self.script("import multiprocessing\n"
                    "if __name__ == '__main__':\n"
                    "    with open('file', 'w') as file, multiprocessing.Pool(1) as pool:\n"
                    "        assert file.fileno() == 1\n"
                    "        pool.apply(print, ('not meant for a file',))\n")

        self.assert_status(self.run_("script.py", preexec=lambda: os.close(1)), 0)
        self.assertEqual((self.folder / "file").read_text(), "")

    def test_what_was_printed_before_a_pool_was_made_stands_before_what_its_workers_print(self):
        self.script(ORDER)

        for way in "fork", "forkserver", "spawn", "executor", "joblib":
            with self.subTest(way):
                result = self.run_("script.py", "--", way, env={"PYTHONUNBUFFERED": ""})

                self.assertEqual((result.status, result.out), (0, "main starts\ntask\nmain ends\n"), result)

    def test_what_workers_print_without_a_newline_arrives_while_they_work_and_as_it_is(self):
        self.script("import multiprocessing, os, sys, time\n"
                    "def work(x):\n"
                    "    print('.', end='', flush=True)\n"
                    "    print(f'{x} %', end='\\r', file=sys.stderr, flush=True)\n"
                    "    while not os.path.exists(str(x)):\n"
                    "        time.sleep(0.005)\n"
                    "if __name__ == '__main__':\n"
                    "    with multiprocessing.Pool(1) as pool:\n"
                    "        pool.map(work, range(3), 1)\n"
                    "        pool.close()\n"
                    "        pool.join()\n"
                    "    print('end')\n")
        process = self.start(PYHOST, "run", "--python", PYTHON, "script.py")

        for x in range(3):
            for pipe, printed in (process.stdout, b"."), (process.stderr, b"%d %%\r" % x):
                harness.wait_until(lambda: select.select([pipe], [], [], 0)[0], what=f"{printed}")
                self.assertEqual(pipe.read(len(printed)), printed)
            (self.folder / str(x)).touch()
        result = self.finish(process)

        self.assertEqual((result.status, result.out, result.err), (0, "end\n", ""))

    def test_an_open_file_cannot_be_sent(self):
        self.script("import multiprocessing\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "def give(thing):\n"
                    "    return thing\n"
                    "def opened(name):\n"
                    "    return [open(name)]\n"
                    "if __name__ == '__main__':\n"
                    "    for method in 'fork', 'spawn':\n"
                    "        with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as executor:\n"
                    "            for future in (executor.submit(give, open(__file__)), executor.submit(opened, __file__)):\n"
                    "                error = future.exception()\n"
                    "                print(isinstance(error, TypeError), '_io.TextIOWrapper' in str(error))\n")

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_an_interpreter_that_imports_the_main_module_has_the_name_of_a_worker(self):
        for method in "spawn", "forkserver":
            self.script("import multiprocessing\n"
                        "from concurrent.futures import ProcessPoolExecutor\n"
                        "name = multiprocessing.current_process().name\n"
                        "def told(_):\n"
                        "    return name\n"
                        "if name == 'MainProcess':\n"
                        f"    context = multiprocessing.get_context({method!r})\n"
                        "    with context.Pool(1) as pool:\n"
                        "        print(pool.map(told, [0]))\n"
                        "    with ProcessPoolExecutor(1, context) as executor:\n"
                        "        print(executor.submit(told, 0).result())\n")

            with self.subTest(method):
                self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_pools_work_under_a_limit_of_address_space(self):
        self.script("import multiprocessing\n"
                    "from concurrent.futures import ProcessPoolExecutor\n"
                    "if __name__ == '__main__':\n"
                    "    for method in 'fork', 'spawn':\n"
                    "        with multiprocessing.get_context(method).Pool(2) as pool:\n"
                    "            print(pool.map(len, [bytes(10**6)] * 4))\n"
                    "    with ProcessPoolExecutor(2) as executor:\n"
                    "        print(list(executor.map(abs, range(-3, 0))), len(executor.submit(bytes, 10**7).result()))\n")

        for mib in 500, 4000:
            with self.subTest(mib):
                result = self.run_("script.py", preexec=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20)))

                self.assertEqual((result.status, result.err), (0, ""), result)

    def test_a_limit_of_address_space_that_is_too_low_is_said(self):
        self.script("import multiprocessing\n"
                    "if __name__ == '__main__':\n"
                    "    multiprocessing.Pool(200).map(abs, [1])\n")

        result = self.run_("script.py", preexec=lambda: resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20)))

        self.assert_says(result.err, "ulimit -v", "too little to share with 200 workers")

    def test_an_object_is_asked_once_for_its_state(self):
        self.script(STATE)

        self.assertEqual(self.assert_as_under_python("script.py"), "")

    def test_an_object_is_asked_once_for_its_state_where_its_class_goes_by_value(self):
        self.script(STATE.replace("for executor in executors():", "for executor in [pyhost.Executor(1, start='zygote')]:")
                    .replace("import multiprocessing", "import multiprocessing, pyhost"))

        self.assertEqual(self.run_("script.py").out, "1 [1, 2]\n" * 1)


if __name__ == "__main__":
    harness.main()
