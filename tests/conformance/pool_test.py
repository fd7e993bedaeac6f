"""CPython's tests of multiprocessing.pool.Pool, on pyhost.Pool."""

import multiprocessing
import sys

import conformance

# Without cloudpickle, as CPython is: some tests need functions that cannot be sent.
sys.modules["cloudpickle"] = sys.modules["joblib"] = None

import pyhost  # noqa: E402

from test import _test_multiprocessing as suite  # noqa: E402
from test.support import script_helper  # noqa: E402

multiprocessing.set_start_method("fork", force=True)
multiprocessing.Pool = pyhost.Pool
run_script = script_helper.assert_python_ok


def run_script_on_pyhost(*arguments, **environment):
    """Scripts of their own import the class from pyhost, too."""
    changed = [text.replace("from multiprocessing import Pool", "from pyhost import Pool") for text in arguments]
    return run_script(*changed, PYTHONPATH=str(conformance.PACKAGES), **environment)


script_helper.assert_python_ok = run_script_on_pyhost


def on_pyhost(base):
    """The class as the suite itself makes it for pools of processes."""
    name = f"WithPyhost{base.__name__[1:]}"
    made = type(name, (base, suite.ProcessesMixin, suite.unittest.TestCase),
                {"Pool": staticmethod(pyhost.Pool), "__module__": __name__})
    globals()[name] = made  # workers find its methods by their names
    return made


if __name__ == "__main__":
    classes = [suite._TestPool, suite._TestPoolWorkerErrors, suite._TestPoolWorkerLifetime]
    conformance.run("pool", [on_pyhost(base) for base in classes], 31)
