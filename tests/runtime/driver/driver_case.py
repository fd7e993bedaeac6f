"""The base of the package's tests: pyhost from the build tree, and both start methods."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "e2e"))

import harness  # noqa: E402

PACKAGES = pathlib.Path(os.environ.get("PYHOST_RUNTIME", harness.BUILD / "lib/pyhost")) / "python"
sys.path.insert(0, str(PACKAGES))

import pyhost  # noqa: E402


# Where programs find pyhost, and what the tests themselves were given (cloudpickle, for interpreters without it).
PYTHON_PATH = os.pathsep.join([str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])


class DriverCase(harness.E2E):
    """Tests that run in this process. What they start must be gone after each."""

    def run_python(self, text, *arguments, env=None, **options):
        """Runs a script with an ordinary python3."""
        return self.run_program(harness.PYTHON, self.script(text), *arguments,
                                env={"PYTHONPATH": PYTHON_PATH, **(env or {})}, **options)

    def start_python(self, text, *arguments, **options):
        return self.start(harness.PYTHON, "-u", self.script(text), *arguments, env={"PYTHONPATH": PYTHON_PATH},
                          **options)


def for_each_start(case):
    """Puts one class per start method, made of `case`, into the namespace of its module."""
    namespace = sys.modules[case.__module__].__dict__
    for start in ("fork", "zygote"):
        name = f"{case.__name__}_{start}"
        namespace[name] = type(name, (case, DriverCase), {"start_method": start, "__module__": case.__module__})
    return case


class WithExecutor:
    """Two workers for each test."""

    workers = 2
    timeout = None

    def setUp(self):
        super().setUp()
        self.executor = pyhost.Executor(self.workers, start=self.start_method, timeout=self.timeout)
        self.addCleanup(self.executor.shutdown)

    def call(self, function, *args, **kwargs):
        return self.executor.submit(function, *args, **kwargs).result(timeout=30)
