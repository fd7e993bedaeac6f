"""A script under either image of `pyhost run` cannot tell it from `python script`.

Every case runs three times: by plain python, which is the oracle, by the executable image and by the
libpython image; what they print, their status and how they end must be the same.
"""

import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import zipfile

PYTHON = os.environ.get("PYHOST_PYTHON", "/usr/bin/python3")
RUNTIME = pathlib.Path(os.environ["PYHOST_RUNTIME"])
SOURCE = pathlib.Path(__file__).resolve().parents[3]
TAG = "cp%d%d" % sys.version_info[:2]
CORE = str(RUNTIME / f"pyhost-core-{TAG}.so")
OPTIONS = '{"workers": 2}'

# What a script sees of the way it was started.
LOOK = """
import sys, os, inspect, traceback
print(__name__, __file__ if "__file__" in globals() else None, __spec__, type(__loader__).__name__)
print(sys.argv, sys.orig_argv[1:] if hasattr(sys, "orig_argv") else None)
print(sys.path, sys.flags, sys.warnoptions, sys._xoptions)
print(sorted(globals()), sys.executable, sys.prefix, type(__builtins__).__name__)
print(len(inspect.stack()), os.getppid() == os.getppid(), sys.stdin.encoding, sys.stdout.line_buffering)
print(sys.stdin.read())
traceback.print_stack()
"""


def libpython():
    """The shared library of the Python that runs the tests, or None: some have it in the binary alone."""
    name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
    folders = [sysconfig.get_config_var("LIBDIR"), f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"]
    found = [f"{folder}/{name}" for folder in folders if os.path.exists(f"{folder}/{name}")]
    return found[0] if found else None


def boot_line():
    text = (SOURCE / "host/process/boot.h").read_text()
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text[text.index("kBoot =") :])
    return "".join(strings)


def clean(text):
    """Addresses differ from run to run."""
    return re.sub(r"0x[0-9a-f]+", "0x", text)


class Target(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pyhost-target-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return name

    def run_one(self, command, input):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        result = subprocess.run(
            command, input=input, capture_output=True, text=True, cwd=self.folder, timeout=60, env=environment
        )
        return result.returncode, clean(result.stdout), clean(result.stderr)

    def compare(self, mode, target, *arguments, flags=(), input="typed\n"):
        """Runs the target in all three ways; returns what plain python did."""
        as_typed = {"file": [target], "module": ["-m", target], "command": ["-c", target]}[mode]
        expected = self.run_one([PYTHON, *flags, *as_typed, *arguments], input)
        boot = [PYTHON, *flags, "-c", boot_line(), CORE, "run", str(RUNTIME / "python"), OPTIONS, mode, target]
        with self.subTest("executable image", target=target, flags=flags):
            self.assertEqual(self.run_one([*boot, *arguments], input), expected)
        if libpython():
            launcher = [str(RUNTIME / "pyhost-worker"), "run", libpython(), CORE, str(RUNTIME / "python"), OPTIONS]
            with self.subTest("libpython image", target=target, flags=flags):
                self.assertEqual(
                    self.run_one([*launcher, PYTHON, *flags, *as_typed, *arguments], input), expected
                )
        return expected

    def test_a_script_sees_its_arguments_its_path_and_a_clean_main(self):
        self.write("look.py", LOOK)

        status, out, _ = self.compare("file", "look.py", "a", "-x", "--", "é")

        self.assertEqual(status, 0)
        self.assertIn(f"__main__ {self.folder}/look.py None SourceFileLoader", out)

    def test_a_script_is_found_by_every_kind_of_path(self):
        self.write("sub/look.py", LOOK)
        (self.folder / "link.py").symlink_to("sub/look.py")
        (self.folder / "folder_link").symlink_to("sub")

        for target in ("sub/look.py", "./sub/../sub/look.py", str(self.folder / "sub/look.py"), "link.py",
                       "folder_link/look.py"):
            self.compare("file", target)

    def test_flags_of_python_mean_what_they_mean(self):
        self.write("look.py", LOOK + "\nassert False, 'assertions are on'\n")

        for flags in (["-O"], ["-OO"], ["-u"], ["-B"], ["-E"], ["-I"], ["-s"], ["-S"], ["-W", "error"],
                      ["-X", "dev"], ["-X", "utf8=0"], ["-bb", "-q"]):
            self.compare("file", "look.py", flags=flags)
            self.compare("command", LOOK, flags=flags)

    def test_exit_statuses_and_messages_are_those_of_python(self):
        for body in ("sys.exit()", "sys.exit(3)", "sys.exit('no luck')", "sys.exit(-1)", "raise SystemExit(None)",
                     "sys.exit(True)", "sys.exit(10**30)", "os._exit(4)", "raise ValueError('x')", "import nowhere",
                     "os.kill(os.getpid(), 9)", "sys.stdout.close()", "sys.exit((1, 2))", "1/0"):
            self.write("ends.py", f"import os, sys\nprint('before')\n{body}\n")
            self.compare("file", "ends.py")

    def test_tracebacks_show_the_frames_of_the_script_alone(self):
        self.write("raises.py", "def f(n):\n    if n == 0: raise KeyError('deep')\n    f(n - 1)\n\n"
                                "try:\n    f(3)\nexcept KeyError as e:\n    raise RuntimeError('outer') from e\n")
        self.write("syntax.py", "x = 1\ndef f(:\n")
        self.write("warns.py", "import warnings\nwarnings.warn('top', stacklevel=2)\nwarnings.warn('here')\n")
        self.write("recursion.py", "import sys\ntry: sys._getframe(1)\nexcept ValueError as e: print(e)\n")

        self.write("text.py", "exec('1/0')\n")

        for target in ("raises.py", "syntax.py", "warns.py", "recursion.py", "text.py"):
            self.compare("file", target)

    def test_an_uncaught_interrupt_ends_the_process_by_sigint(self):
        self.write("interrupted.py", "import atexit, os, signal\natexit.register(print, 'exit function')\n"
                                     "os.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)\n")

        self.assertEqual(self.compare("file", "interrupted.py")[0], -2)
        self.compare("module", "interrupted")
        self.compare("command", "raise KeyboardInterrupt")

    def test_what_ends_late_still_runs(self):
        self.write("late.py", "import atexit, threading, time\natexit.register(print, 'last')\n"
                              "def work():\n    time.sleep(.05)\n    print('thread')\n"
                              "threading.Thread(target=work).start()\n"
                              "class C:\n    def __del__(self): print('deleted')\nc = C()\nprint('main', end='')\n")

        self.compare("file", "late.py")

    def test_a_missing_script_is_reported_in_pythons_words(self):
        status, _, error = self.compare("file", "missing.py")

        self.assertEqual(status, 2)
        self.assertIn("can't open file", error)

    def test_folders_and_archives_run_their_main(self):
        self.write("app/__main__.py", LOOK)
        self.write("empty/other.py", "")
        with zipfile.ZipFile(self.folder / "app.zip", "w") as archive:
            archive.writestr("__main__.py", LOOK)

        self.compare("file", "app", "x")
        self.compare("file", "app.zip", "x")
        self.compare("file", "app", flags=["-I"])
        self.compare("file", "empty")

    def test_a_compiled_script_runs(self):
        self.write("plain.py", "print('compiled', __file__)\n")
        subprocess.run([PYTHON, "-c", "import py_compile; py_compile.compile('plain.py', 'plain.pyc')"],
                       cwd=self.folder, check=True)

        self.compare("file", "plain.pyc")

    def test_stdin_can_be_the_script(self):
        self.compare("file", "-", "a", input="import sys; print(sys.argv, sys.path[0], __name__)\n1/0\n")

    def test_modules_run_as_main(self):
        self.write("look.py", LOOK)
        self.write("package/__init__.py", "")
        self.write("package/__main__.py", LOOK)

        self.compare("module", "look", "a", "b")
        self.compare("module", "package", "a")
        self.compare("module", "no_such_module")
        self.compare("module", "json.tool", input='{"a": 1}')

    def test_commands_run_as_main(self):
        self.compare("command", LOOK, "a", "b")
        self.compare("command", "raise ValueError('in a command')")
        self.compare("command", "x = (1")
        self.compare("command", "print('ä', __import__('sys').argv)", "ö")

    def test_scripts_can_start_processes_of_their_own(self):
        self.write("spawns.py", "import multiprocessing, sys\ndef f(x): return x * x\n"
                                "if __name__ == '__main__':\n"
                                "    for method in ('fork', 'spawn'):\n"
                                "        with multiprocessing.get_context(method).Pool(2) as pool:\n"
                                "            print(method, pool.map(f, range(4)))\n")

        self.assertEqual(self.compare("file", "spawns.py")[0], 0)


class Core(unittest.TestCase):
    def test_the_core_and_the_options_of_run_are_there(self):
        code = "import _pyhost_core as c, sys; print(c.run_options(), c.current_worker(), 'pyhost' in sys.modules)"
        result = subprocess.run(
            [PYTHON, "-c", boot_line(), CORE, "run", str(RUNTIME / "python"), OPTIONS, "command", code],
            capture_output=True, text=True, timeout=60,
        )

        self.assertEqual(result.stdout.strip(), f"{OPTIONS} -1 False", result.stderr)

    def test_the_package_is_found_without_an_entry_in_sys_path(self):
        code = "import sys, pyhost; print(pyhost.__file__, sys.argv[1] in sys.path)"
        result = subprocess.run(
            [PYTHON, "-c", boot_line(), CORE, "run", str(RUNTIME / "python"), OPTIONS, "command", code,
             str(RUNTIME / "python")],
            capture_output=True, text=True, timeout=60, cwd="/",
        )

        self.assertEqual(result.stdout.split(), [str(RUNTIME / "python/pyhost/__init__.py"), "False"], result.stderr)

    def test_a_core_is_refused_by_a_libpython_of_another_version(self):
        others = sorted(pathlib.Path.home().glob(".pyenv/versions/3.*/lib/libpython3.*.so.1.0"))
        others = [path for path in others if f"libpython{sys.version_info[0]}.{sys.version_info[1]}." not in path.name]
        if not others:
            self.skipTest("no libpython of another version here")
        result = subprocess.run(
            [str(RUNTIME / "pyhost-worker"), "run", str(others[-1]), CORE, "", "{}", PYTHON, "-c", "print(1)"],
            capture_output=True, text=True, timeout=60,
        )

        self.assertEqual((result.returncode, result.stdout), (255, ""))
        self.assertIn(f"pyhost-core-{TAG}.so", result.stderr)
        self.assertIn(f"CPython {others[-1].parents[1].name}", result.stderr)


if __name__ == "__main__":
    unittest.main()
