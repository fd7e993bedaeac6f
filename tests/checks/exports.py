"""Checks that what applications link has nothing of Python in it, and exports only `pyhost::`.

Usage: exports.py LIBRARY COMMAND      exit status 1 and one line per offence
"""

import re
import subprocess
import sys

PYTHON_SYMBOL = re.compile(r"_?Py(?:[A-Z][A-Za-z0-9]*)?_\w+$")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-dW", path))


def symbols(path):
    """(kind letter, demangled name) of every dynamic symbol."""
    for line in run("nm", "-DC", path).splitlines():
        match = re.match(r"(?:[0-9a-f]+|\s+) (\w) (.*)", line)
        if match:
            yield match.group(1), match.group(2)


def is_ours(name):
    """Whether an exported name lies in the namespace `pyhost`."""
    return re.match(r"(?:(?:typeinfo|typeinfo name|vtable|VTT|guard variable) for )?pyhost::", name) is not None


def offences(library, command):
    for path in (library, command):
        for dependency in needed(path):
            if "python" in dependency.lower():
                yield f"{path}: is linked to `{dependency}`"
        for kind, name in symbols(path):
            if PYTHON_SYMBOL.match(name.split("@")[0]):
                yield f"{path}: {'imports' if kind in 'Uw' else 'exports'} `{name}`, a symbol of Python"
    for kind, name in symbols(library):
        if kind in "Uw":
            continue
        if "nlohmann" in name:
            yield f"{library}: exports `{name}`; nlohmann stays in the header-only layer"
        elif not is_ours(name):
            yield f"{library}: exports `{name}`; only what is marked PYHOST_EXPORT may be visible"


if __name__ == "__main__":
    found = list(offences(*sys.argv[1:3]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)
