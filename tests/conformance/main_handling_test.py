"""CPython's tests of how workers find the functions of `__main__`, however it was run, with `pyhost run` as the
interpreter: the pools of these scripts run on pyhost."""

import conformance
import interpreter
from test import test_multiprocessing_main_handling as suite

interpreter.use_pyhost_run()
conformance.run("main_handling", [suite.SpawnCmdLineTest, suite.ForkCmdLineTest, suite.ForkServerCmdLineTest],
                at_least=39)
