"""Modules are found, made and shown under `pyhost run` as under `python3`."""

import os
import re
import time

import harness
from harness import PYTHON

SHOW = """
import sys
def show(module):
    spec = module.__spec__
    loader = spec.loader
    print(module.__name__, module.__package__, getattr(module, "__file__", None), getattr(module, "__cached__", None),
          list(getattr(module, "__path__", "-")), spec.name, spec.origin, spec.cached, spec.has_location,
          spec.submodule_search_locations, loader is module.__loader__, type(loader), vars(loader) if loader else "")
"""


class Modules(harness.E2E):
    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def outcomes(self, script, env=None, flags=()):
        """What `python3` and the two images make of the script."""
        env = {"PYTHONDONTWRITEBYTECODE": "", **(env or {})}
        yield "python3", self.run_program(PYTHON, *flags, script, env=env)
        for image in ("executable", "libpython"):
            if not flags:
                yield image, self.pyhost("run", script, "--python", PYTHON, "--image", image, env=env)
            elif image == "executable":
                yield image, self.pyhost("run", *flags, script, "--python", PYTHON, "--image", image, env=env)

    def assert_same(self, script, says="", **more):
        seen = {}
        for how, outcome in self.outcomes(script, **more):
            text = re.sub("0x[0-9a-f]+", "0x", outcome.out + outcome.err)
            seen[how] = (outcome.status, text)
            self.assertIn(says, text, how)
        for how, found in seen.items():
            self.assertEqual(found, seen["python3"], how)

    def test_a_module_shows_no_sign_of_how_it_was_imported(self):
        self.write("own.py", "")
        self.write("package/__init__.py", "from package import inner")
        self.write("package/inner.py", "")
        self.assert_same(self.script(SHOW + """
import json.decoder, own, package, xml, decimal, _json, importlib
for module in (json, json.decoder, own, package, package.inner, xml, decimal, _json):
    show(module)
show(importlib.reload(json))
"""), says="SourceFileLoader")

    def test_a_spec_that_is_asked_for_can_be_used_by_hand(self):
        self.assert_same(self.script("""
import importlib.util, sys
spec = importlib.util.find_spec("wave")
print(spec, isinstance(spec.loader, importlib.machinery.SourceFileLoader), len(spec.loader.get_source("wave")) > 100,
      spec.loader.get_code("wave").co_filename, spec.loader.is_package("wave"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.open, type(spec.loader))
lazy = importlib.util.find_spec("colorsys")
lazy.loader = importlib.util.LazyLoader(lazy.loader)
module = importlib.util.module_from_spec(lazy)
sys.modules["colorsys"] = module
lazy.loader.exec_module(module)
print(type(module).__name__, module.rgb_to_hsv(0, 0, 1), type(module).__name__)
"""), says="module")

    def test_what_is_in_front_on_the_path_wins(self):
        self.write("json.py", "print('mine')")  # a script's folder goes before the standard library
        self.write("names/part.py", "print('a namespace package')")
        self.write("both.py", "print('a file')")
        self.write("both/data.txt", "")  # no package, so the file of that name is the module
        self.write("later/names/other.py", "print('its other part')")
        self.assert_same(self.script(SHOW + """
sys.path.append("later")
import os; sys.path[-1] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "later")
import json, names.part, names.other, both, importlib
for name in ("both/data", "names/part", "names.", "both.", "no\\0name"):
    try:
        print(name, importlib.import_module(name))
    except Exception as error:
        print(type(error), error)
print(list(names.__path__), both.__file__)
try:
    import nothing
except ImportError as error:
    print(error, error.name, error.path)
"""), says="its other part")

    def test_byte_code_that_is_old_missing_or_of_another_kind_is_seen_through(self):
        import py_compile
        module = self.write("changing.py", "value = 'first'")
        script = self.script("import changing, os; print(changing.value, os.path.exists(changing.__cached__))")
        self.assert_same(script, says="first True")
        then = time.time() + 100
        module.write_text("value = 'other'")
        os.utime(module, (then, then))  # as long as before: only the time tells
        self.assert_same(script, says="other True")
        module.write_text("value = 'hashed'")
        py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        module.write_text("value = 'hashes'")
        self.assert_same(script, says="hashes True")
        cached = next((self.folder / "__pycache__").glob("changing.*.pyc"))
        cached.write_bytes(cached.read_bytes()[:20])
        self.assert_same(script, says="")

    def test_environment_and_flags_that_are_about_byte_code_are_kept(self):
        self.write("asserting.py", '"""text"""\nassert False, "checked"')
        script = self.script("import asserting; print(asserting.__doc__, asserting.__cached__)")
        self.assert_same(script, says="checked")
        self.assert_same(script, says="opt-2", flags=["-OO"])
        self.assert_same(script, says="opt-1", env={"PYTHONOPTIMIZE": "1"})
        other = self.folder / "other"
        plain = self.script("import colorsys; print(colorsys.__cached__)", "plain.py")
        self.assert_same(plain, says=str(other), env={"PYTHONPYCACHEPREFIX": str(other)})

    def test_hooks_of_the_script_have_the_say(self):
        self.write("hooked.py", "value = 1")
        self.assert_same(self.script("""
import importlib.machinery, sys
class Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        return super().get_data(path).replace(b"1", b"2") if path.endswith(".py") else b""
sys.path_hooks.insert(0, importlib.machinery.FileFinder.path_hook((Loader, [".py"])))
sys.path_importer_cache.clear()
import hooked
print(hooked.value, type(hooked.__loader__))
"""), says="2 <class '__main__.Loader'>")
        self.assert_same(self.script("""
import sys
def hear(event, args):
    if event == "open" and "colorsys" in str(args[0]):
        print(event, str(args[0]).rpartition("/")[2], *args[1:])
    if event == "exec" and "colorsys" in args[0].co_filename or event in ("import", "marshal.loads"):
        print(event, args[0] if event != "marshal.loads" else len(args[0]))
sys.addaudithook(hear)
import colorsys
for finder in sys.meta_path:
    finder.find_spec("wave", path=None, target=None)
""", "audited.py"), says="open colorsys")

    def test_an_exception_while_importing_has_the_same_traceback(self):
        self.write("broken.py", "def fail():\n    return 1 / 0\nfail()\n")
        self.write("wanting.py", "import broken_too")
        self.write("broken_too.py", "from json import nothing_there")
        self.assert_same(self.script("import broken"), says="ZeroDivisionError")
        self.assert_same(self.script("import wanting", "second.py"), says="cannot import name")
        self.write("twisted.py", "x = = 1")
        self.assert_same(self.script("import twisted", "third.py"), says="SyntaxError")


if __name__ == "__main__":
    harness.main()
