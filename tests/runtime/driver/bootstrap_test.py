"""What the interpreters of a pool have in common with the driver's, and what they make of its main module."""

import os
import unittest

from driver_case import DriverCase, PYTHON_PATH, harness

ENGINE = """
import os, sys
import pyhost
from pyhost import _settings
from pyhost._engine import Engine
def start(method, **settings):
    engine = Engine(_settings.for_engine(1, method, **settings))
    submitter = pyhost._core.core.Submitter()
    return engine, lambda function, *args: engine.submit(function, args, {}, None, submitter).result(30)
"""
STARTS = ("zygote", "spawn")


class Surroundings(DriverCase):
    def test_arguments_path_and_folder_are_the_drivers(self):
        for start in STARTS:
            outcome = self.run_python(ENGINE + f"""
def look(): return sys.argv, sys.path, os.getcwd()
sys.path.append("/nowhere/special")
os.mkdir("deeper"); os.chdir("deeper")
engine, call = start("{start}")
print(call(look) == look(), call(look)[0][1:])
engine.close()
os.chdir(".."); os.rmdir("deeper")
""", "first", "--second")
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True ['first', '--second']\n"))

    def test_a_zygote_started_later_works_where_the_first_did(self):
        outcome = self.run_python(ENGINE + """
import signal
def look(): return os.getcwd()
def parent(): return os.getppid()
engine, call = start("zygote")
where, zygote = call(look), call(parent)
os.chdir("/")
os.kill(zygote, signal.SIGKILL)
while True:
    try:
        print(call(look) == where)
        break
    except pyhost.WorkerCrashed:
        pass
engine.close()
""")
        self.assertEqual((outcome.status, outcome.out), (0, "True\n"))

    def test_flags_of_the_interpreter_hold_in_workers(self):
        for start in STARTS:
            script = self.script(ENGINE + f"""
def look(): return sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions
engine, call = start("{start}")
print(call(look) == look(), look()[0])
engine.close()
""")
            outcome = self.run_program(harness.PYTHON, "-O", "-W", "error::UserWarning", script,
                                       env={"PYTHONPATH": PYTHON_PATH})
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True 1\n"))

    def test_multiprocessing_knows_what_it_knows_in_the_driver(self):
        for start in STARTS:
            outcome = self.run_python(ENGINE + f"""
import logging, multiprocessing
from multiprocessing import process, util
def look():
    import multiprocessing
    from multiprocessing import process, util
    return (bytes(multiprocessing.current_process().authkey), process.ORIGINAL_DIR,
            multiprocessing.get_start_method(allow_none=True), util.get_logger().getEffectiveLevel())
multiprocessing.get_logger().setLevel(logging.ERROR)
engine, call = start("{start}")
print(call(look) == look(), look()[2])
multiprocessing.set_start_method("forkserver")
engine.close()
engine, call = start("{start}")
print(call(look) == look(), look()[2])
engine.close()
""")
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True None\nTrue forkserver\n"))

    def test_log_to_stderr_holds_in_workers_and_shows_each_line_once(self):
        script = self.script("""
import concurrent.futures, multiprocessing, sys
def say():
    import multiprocessing
    warn = multiprocessing.get_logger().warning
    warn("of a worker")
    process = multiprocessing.get_context("spawn").Process(target=warn, args=("of its own process",))
    process.start()
    process.join()
if __name__ == "__main__":
    multiprocessing.log_to_stderr()
    if sys.argv[1] == "stdlib":
        executor = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    else:
        import pyhost
        executor = pyhost.Executor(1, start=sys.argv[1])
    with executor:
        executor.submit(say).result()
""")

        for start in ("fork", *STARTS):
            outcome = self.run_program(harness.PYTHON, script, start, env={"PYTHONPATH": PYTHON_PATH})
            self.assertEqual((outcome.status, outcome.err), (0, "[WARNING/pyhost-worker-0] of a worker\n"
                                                                "[WARNING/SpawnProcess-1:1] of its own process\n"))
        for command in ((harness.PYTHON, script), (harness.PYHOST, "run", "--python", harness.PYTHON, script, "--")):
            outcome = self.run_program(*command, "stdlib")
            self.assertEqual((outcome.status, outcome.err), (0, "[WARNING/SpawnProcess-1] of a worker\n"
                                                                "[WARNING/SpawnProcess-1:1] of its own process\n"))

    def test_it_does_where_it_was_imported_before_pyhost(self):
        (self.folder / "sitecustomize.py").write_text("import multiprocessing.resource_tracker")
        path = os.pathsep.join([PYTHON_PATH, str(self.folder)])
        for start in STARTS:
            script = self.script(ENGINE + f"""
import multiprocessing
def look(): return bytes(multiprocessing.current_process().authkey), multiprocessing.current_process().name
engine, call = start("{start}")
print(call(look)[0] == look()[0], call(look)[1])
engine.close()
""")
            outcome = self.run_program(harness.PYTHON, script, env={"PYTHONPATH": path})
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True pyhost-worker-0\n"))


IMPORTING = ENGINE + """
loads = []
loads.append(__name__)
class Point:
    def __init__(self, x): self.x = x
    def doubled(self): return Point(2 * self.x)
def names(): return __name__, loads, Point.__module__, sys.modules["__main__"] is sys.modules["__mp_main__"]
def double(point):
    return point.doubled() if type(point) is Point else "another Point"
"""


class ImportedMains(DriverCase):
    def check(self, outcome):
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assertEqual(outcome.out, "('__mp_main__', ['__mp_main__'], '__mp_main__', True)\n14 True\n")

    def body(self, start):
        return f"""
if __name__ == "__main__":
    engine, call = start("{start}", main="import")
    print(call(names))
    doubled = call(double, Point(7))
    print(doubled.x, type(doubled) is Point)
    engine.close()
"""

    def test_a_script_is_imported_under_the_name_of_the_standard_library(self):
        for start in STARTS:
            self.check(self.run_python(IMPORTING + self.body(start)))

    def test_a_module_run_by_name_is_imported_too(self):
        package = self.folder / "shop"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "till.py").write_text(IMPORTING + self.body("zygote"))
        path = os.pathsep.join([PYTHON_PATH, str(self.folder)])

        self.check(self.run_program(harness.PYTHON, "-m", "shop.till", env={"PYTHONPATH": path}))

    def test_main_of_an_archive_is_sent_by_value(self):
        import zipfile
        archive = self.folder / "app.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("__main__.py", IMPORTING + """
if __name__ == "__main__":
    engine, call = start("zygote", main="import")
    print(call(double, Point(7)).x)
    engine.close()
""")
        outcome = self.run_program(harness.PYTHON, str(archive), env={"PYTHONPATH": PYTHON_PATH})

        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "14\n"))

    def test_a_script_without_a_guard_is_told_of_it(self):
        for text in ("engine, call = start('zygote', main='import')\nprint(call(os.getpid))\n",
                     "import multiprocessing\nmultiprocessing.get_context('spawn').Process(target=print).start()\n"
                     "engine, call = start('zygote', main='import')\nprint(call(os.getpid))\n"):
            outcome = self.run_python(ENGINE + text)

            self.assertEqual(outcome.status, 1)
            self.assert_says(outcome.err, "importing the main module: ", "RuntimeError", "__name__ == ")

    def test_without_the_setting_a_script_needs_no_guard(self):
        for start in STARTS:
            outcome = self.run_python(ENGINE + f"""
class Point: pass
def echo(point): return type(point).__name__
engine, call = start("{start}")
print(call(echo, Point()))
engine.close()
""")
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "Point\n"))

    def test_a_context_of_multiprocessing_asks_for_it(self):
        for pool in ("pyhost.Executor(1, mp_context=context)", "pyhost.Pool(1, context=context)"):
            for method in ("spawn", "forkserver", "fork"):
                outcome = self.run_python(f"""
import multiprocessing, pyhost
def name(_): return __name__
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with {pool} as pool:
        print(list(pool.map(name, [1])))
""")
                expected = "['__main__']\n" if method == "fork" else "['__mp_main__']\n"
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", expected))


ADOPTED = """
import concurrent.futures, multiprocessing, os
def who(_):
    own = multiprocessing.current_process()
    return (__name__, own.name, own.daemon, own._identity, multiprocessing.parent_process().pid,
            multiprocessing.get_start_method())
if __name__ == "__main__":
    before = 0
    def expect(name, number, daemon):
        main = "__main__" if method == "fork" else "__mp_main__"
        return [(main, f"{name}-{before + number}", daemon, (before + number,), os.getpid(), method)]
    names = {"fork": "Fork", "spawn": "Spawn", "forkserver": "ForkServer"}
    for method, name in names.items():
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            print(list(pool.map(who, [1])) == expect(f"{name}Process", 1, False))
        with context.Pool(1) as pool:
            print(pool.map(who, [1]) == expect(f"{name}PoolWorker", 2, True))
        before += 2
"""


class Adopted(DriverCase):
    def test_workers_are_to_a_script_what_they_are_under_python(self):
        script = self.script(ADOPTED)
        for command in ((harness.PYTHON, script), (harness.PYHOST, "run", "--python", harness.PYTHON, script)):
            outcome = self.run_program(*command)
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True\n" * 6))


if __name__ == "__main__":
    unittest.main()
