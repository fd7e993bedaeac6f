"""CPython's tests of `runpy`: in an interpreter that `pyhost run` brought up, and with it as the one they start."""

import conformance
import interpreter

interpreter.become_pyhost_run()
from test import test_runpy  # noqa: E402

interpreter.use_pyhost_run()
CASES = [test_runpy.ExecutionLayerTestCase, test_runpy.RunModuleTestCase, test_runpy.RunPathTestCase,
         test_runpy.TestExit]
conformance.run("runpy", CASES, at_least=39)
