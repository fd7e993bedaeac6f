"""CPython's tests of how scripts, modules, folders and archives are run, with `pyhost run` as the interpreter."""

import conformance
import interpreter
from test import test_cmd_line_script


class Executable(test_cmd_line_script.CmdLineTest):
    @classmethod
    def setUpClass(cls):
        interpreter.use_pyhost_run("executable")


class Libpython(test_cmd_line_script.CmdLineTest):
    @classmethod
    def setUpClass(cls):
        interpreter.use_pyhost_run("libpython")


conformance.run("cmd_line_script", [Executable, Libpython], at_least=83)
