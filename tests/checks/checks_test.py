"""The checks of scripts/check fail on a bad tree, and accept a good one."""

import pathlib
import subprocess
import tempfile
import unittest

import exports
import layers
import line_length
import sizes


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)


class LayersTest(Tree):
    def assert_offends(self, path, include, expected):
        self.write(path, f"#pragma once\n#include {include}\n")
        found = list(layers.offences(self.root))
        self.assertEqual(len(found), 1, found)
        self.assertIn(f"{path}:2", found[0])
        self.assertIn(expected, found[0])

    def test_accepts_includes_down_the_table(self):
        self.write("host/base/fd.h", "#include <unistd.h>\n")
        self.write("host/pool/engine.cc", '#include <vector>\n#include <sys/epoll.h>\n#include <base/fd.h>\n'
                                          '#include "engine.h"\n#include <pyhost/pool.h>\n')
        self.write("runtime/python/ref.h", "#include <Python.h>\n#include <wire/layout.h>\n")

        self.assertEqual(list(layers.offences(self.root)), [])

    def test_refuses_python_in_the_host(self):
        self.assert_offends("host/pool/engine.cc", "<Python.h>", "only by runtime/")

    def test_refuses_an_include_against_the_table(self):
        self.assert_offends("host/wire/ring.h", "<pool/engine.h>", "`host/wire` may include")

    def test_refuses_an_include_of_the_runtime_from_the_host(self):
        self.assert_offends("host/process/launch.cc", "<python/ref.h>", "this is `runtime/python`")

    def test_refuses_quotes_as_a_way_round_the_table(self):
        self.write("host/pool/engine.h", "")
        self.assert_offends("host/base/fd.h", '"../pool/engine.h"', "this is `host/pool`")

    def test_refuses_an_include_between_worker_and_driver(self):
        self.assert_offends("runtime/worker/loop.cc", "<driver/driver.h>", "this is `runtime/driver`")

    def test_refuses_nlohmann_in_headers_without_values(self):
        self.assert_offends("host/include/pyhost/error.h", "<nlohmann/json.hpp>", "`nlohmann/`")

    def test_refuses_the_option_parser_outside_the_command(self):
        self.assert_offends("host/pool/setup.cc", "<CLI/CLI.hpp>", "only by host/cli/")

    def test_refuses_libraries_and_folders_it_does_not_know(self):
        self.assert_offends("host/base/fd.h", "<boost/any.hpp>", "not in the table")
        (self.root / "host/base/fd.h").unlink()
        self.write("host/extra/new.h", "")
        self.assertIn("`host/extra` is not in the table", list(layers.offences(self.root))[0])


class SizesTest(Tree):
    BODY = "  // a line with a brace {\n  use('}', \"{\");\n"

    def test_accepts_functions_of_sixty_lines_in_long_classes(self):
        functions = "".join(f"  void f{i}(int a = 1'000) {{\n{self.BODY * 29}  }}\n" for i in range(6))
        self.write("host/a.cc", f"namespace pyhost {{\nclass A : public B {{\n{functions}}};\n}}\n")

        self.assertEqual(list(sizes.offences(self.root)), [])

    def test_refuses_a_long_function_by_name_and_place(self):
        head = "namespace {\n// A { comment.\nResult<void> A::run(int a)\n    const "
        self.write("host/a.cc", f"{head}{{\n{self.BODY * 30}}}\n}}\n")
        self.assertEqual(list(sizes.offences(self.root)),
                         ["host/a.cc:3: function `A::run` has 63 lines; at most 60, split it"])

    def test_refuses_a_long_function_in_python(self):
        self.write("tests/a.py", "def f():\n" + "    pass\n" * 60)
        self.assertIn("function `f` has 61 lines", list(sizes.offences(self.root))[0])

    def test_refuses_a_long_file(self):
        self.write("runtime/a.h", "\n" * 801)
        self.assertIn("801 lines", list(sizes.offences(self.root))[0])


class LineLengthTest(Tree):
    def test_refuses_long_lines_and_spaces_at_their_end(self):
        path = self.write("a.py", "#" * 140 + "\n" + "#" * 141 + "\nx = 1 \n")
        self.assertEqual([offence.split(":")[1] for offence in line_length.offences(path)], ["2", "3"])


class ExportsTest(Tree):
    def library(self, text, *flags):
        source, result = self.write("a.cc", text), str(self.root / "liba.so")
        subprocess.run(["g++", "-shared", "-fPIC", "-o", result, source, *flags], check=True)
        return result

    def assert_offends(self, text, expected, *flags):
        clean = str(self.root / "clean.so")
        subprocess.run(["g++", "-shared", "-fPIC", "-o", clean, "-xc++", "/dev/null"], check=True)
        found = list(exports.offences(self.library(text, *flags), clean))
        self.assertTrue(any(expected in line for line in found), found)

    def test_accepts_symbols_of_pyhost_alone(self):
        library = self.library("namespace pyhost { struct A { virtual ~A(); }; A::~A() {} }", "-Wl,--no-undefined")
        self.assertEqual(list(exports.offences(library, library)), [])

    def test_refuses_an_import_from_python(self):
        self.assert_offends('extern "C" int PyErr_Occurred();\n'
                            "namespace pyhost { int f() { return PyErr_Occurred(); } }", "imports `PyErr_Occurred`")

    def test_refuses_a_link_to_libpython(self):
        self.assert_offends("", "is linked to `libpython", "-Wl,--no-as-needed", "-l:libpython3.11.so.1.0")

    def test_refuses_exports_of_others(self):
        self.assert_offends("namespace nlohmann { int f() { return 0; } }", "nlohmann stays")
        self.assert_offends("int helper() { return 0; }", "exports `helper()`")
        self.assert_offends('extern "C" int PyInit_a() { return 0; }', "exports `PyInit_a`")


if __name__ == "__main__":
    unittest.main()
