"""`pyhost run` as the interpreter of CPython's tests, which start `sys.executable` with python's command line."""

import atexit
import os
import pathlib
import shutil
import stat
import sys
import tempfile

import conformance

PYTHON = sys.executable

# Takes python's command line apart, as far as the tests use it, and becomes `pyhost run`. Paths are written in: some
# tests start it without an environment.
_WRAPPER = """#!{python} -IS
import os, sys
words, flags = sys.argv[1:], []
while words and words[0].startswith("-") and words[0] != "-":
    word = words.pop(0)
    letters = word[1:]
    while letters and letters[0] not in "XWcm":
        letters = letters[1:]
    if letters and len(letters) == 1 or word == "--":
        word = [word, words.pop(0)]
    else:
        word = [word]
    flags += word
    if letters and letters[0] in "cm" or word[0] == "--":
        break
else:
    flags.append(words.pop(0) if words else "-")
os.execv({pyhost!r}, [{pyhost!r}, "run", "--python", {python!r}, "--image", {image!r}, *flags, "--", *words])
"""


def use_pyhost_run(image="executable"):
    """From now on tests that start `sys.executable` start `pyhost run`."""
    folder = tempfile.mkdtemp(prefix="pyhost-conformance-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    wrapper = pathlib.Path(folder, "python3")
    wrapper.write_text(_WRAPPER.format(python=PYTHON, pyhost=os.path.abspath(conformance.PYHOST), image=image))
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    sys.executable = str(wrapper)


def become_pyhost_run(image="executable"):
    """Runs the calling file again, by `pyhost run`, unless that is what runs it."""
    if "_pyhost_core" not in sys.modules:
        os.execv(conformance.PYHOST, [conformance.PYHOST, "run", "--python", PYTHON, "--image", image,
                                      os.path.abspath(sys.argv[0]), "--", *sys.argv[1:]])
