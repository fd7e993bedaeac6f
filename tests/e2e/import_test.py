"""`import pyhost` where nobody started it by `pyhost run`: an installation, virtual environments, the build tree."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

import harness
from harness import BUILD, PYTHON

# What the task imports lies in the folders of the interpreter's own packages.
SCRIPT = """
import sys, pyhost
def where():
    import only_there
    return only_there.__file__, sys.executable, sys.prefix
for start in ("fork", "zygote", "spawn"):
    with pyhost.Executor(1, start=start) as executor:
        found = executor.submit(where).result(timeout=30)
    assert found == where(), (start, found, where())
print(pyhost.__file__)
"""

# Importable, so that workers of every start method find it without cloudpickle.
MODULE = SCRIPT.partition("for start")[0]


class Imports(harness.E2E):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="pyhost-home-"))
        cls.addClassCleanup(shutil.rmtree, cls.home)
        cls.prefix = cls.home / ".local"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=True, stdout=subprocess.DEVNULL,
                       env={"HOME": str(cls.home), "PATH": "/usr/bin:/bin"})
        cls.runtime = next(cls.prefix.rglob("pyhost-worker")).parent
        cls.package = cls.runtime / "python/pyhost"

    def setUp(self):
        super().setUp()
        self.env = {"PYHOST_RUNTIME_DIR": "", "PYTHONPATH": "", "VIRTUAL_ENV": "", "HOME": str(self.home),
                    "XDG_CACHE_HOME": str(self.folder / "cache")}
        (self.folder / "tasks.py").write_text(MODULE)
        # The definition stands in a module beside the script.
        self.path = self.script("from tasks import *\n" + "for start" + SCRIPT.partition("for start")[2])

    def make_venv(self, pip):
        folder = self.folder / "venv"
        venv.create(folder, with_pip=pip, symlinks=True)
        next(folder.glob("lib/python*/site-packages")).joinpath("only_there.py").write_text("")
        return folder

    def assert_imports(self, outcome, package):
        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome)
        self.assertEqual(pathlib.Path(outcome.out.strip()).parent, package)

    def test_the_python3_that_looks_into_the_prefix_finds_it(self):
        site = next(self.prefix.glob("lib/python%d.%d/*-packages" % sys.version_info[:2]))
        site.joinpath("only_there.py").write_text("")

        self.assert_imports(self.run_program(PYTHON, self.path, env=self.env), self.package)

    def test_a_virtual_environment_gets_it_as_a_wheel(self):
        folder = self.make_venv(pip=True)
        wheel = next(self.runtime.glob("*.whl"))
        result = self.run_program(folder / "bin/pip", "-q", "install", "--no-index", "--disable-pip-version-check", wheel,
                                  env=self.env)
        self.assert_status(result, 0)

        self.assert_imports(self.run_program(folder / "bin/python", self.path, env=self.env), self.package)
        listed = self.run_program(folder / "bin/pip", "list", "--disable-pip-version-check", env=self.env)
        self.assert_says(listed.out, "pyhost")

    def test_the_command_runs_in_a_virtual_environment_that_has_not_got_it(self):
        folder = self.make_venv(pip=False)

        outcome = self.run_program(self.prefix / "bin/pyhost", "run", self.path, "--python", folder, env=self.env)
        self.assert_imports(outcome, self.package)

    def test_one_variable_makes_the_build_tree_importable(self):
        folder = self.make_venv(pip=False)
        packages = BUILD / "lib/pyhost/python"

        outcome = self.run_program(folder / "bin/python", self.path, env={**self.env, "PYTHONPATH": str(packages)})
        self.assert_imports(outcome, packages / "pyhost")

    def test_a_staged_installation_names_no_place_of_the_stage(self):
        stage = self.folder / "stage"
        result = self.run_program("cmake", "--install", BUILD, "--prefix", self.prefix,
                                  env={**self.env, "DESTDIR": str(stage)})
        self.assert_status(result, 0)

        link = next(stage.rglob("pyhost.pth"))
        self.assertEqual((link.parent / link.read_text().strip()).resolve(),
                         (stage / self.package.parent.relative_to("/")).resolve())

    def doctor(self, which, **env):
        return self.run_program(self.prefix / "bin/pyhost", "doctor", "--python", which, env={**self.env, **env}).out

    def test_the_doctor_says_from_where_it_is_imported_and_what_to_do(self):
        folder = self.make_venv(pip=False)

        self.assert_says(self.doctor(PYTHON), f"ok         `import pyhost` from {self.package}")
        self.assert_says(self.doctor(folder), "note       `import pyhost` works only under `pyhost run`",
                         f"{folder}/bin/python -m pip install --no-index {self.runtime}/pyhost-",
                         f"export PYTHONPATH={self.package.parent}")
        other = self.folder / "other"
        (other / "pyhost").mkdir(parents=True)
        (other / "pyhost/__init__.py").write_text("")
        self.assert_says(self.doctor(folder, PYTHONPATH=str(other)), f"takes another pyhost: {other}/pyhost")


if __name__ == "__main__":
    harness.main()
