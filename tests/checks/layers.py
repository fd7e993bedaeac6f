"""Compares every #include of host/ and runtime/ with the table of layers below.

Usage: layers.py ROOT      exit status 1 and one line per offence when something does not fit
"""

import pathlib
import re
import sys

# Which folders the sources of a folder may include, besides their own. One way only:
#   host:    cli -> pool -> {process, sandbox} -> wire -> base -> public headers
#   runtime: core.cc -> {image, worker, driver} -> python -> host
MAY_INCLUDE = {
    "host/include": [],
    "host/base": ["host/include"],
    "host/wire": ["host/include", "host/base"],
    "host/sandbox": ["host/include", "host/base"],
    "host/process": ["host/include", "host/base", "host/wire"],
    "host/pool": ["host/include", "host/base", "host/wire", "host/process", "host/sandbox"],
    "host/cli": ["host/include", "host/base", "host/wire", "host/process", "host/sandbox", "host/pool"],
    "runtime/python": ["host/include", "host/base", "host/wire"],
    "runtime/worker": ["host/include", "host/base", "host/wire", "host/process", "host/sandbox", "runtime/python"],
    "runtime/driver": ["host/include", "host/base", "host/wire", "host/process", "host/pool", "runtime/python"],
    "runtime/image": ["host/include", "host/base", "host/process", "runtime/python", "runtime/worker"],
    "runtime": ["host/include", "host/base", "runtime/python", "runtime/worker", "runtime/driver", "runtime/image"],
}

# How a folder is spelled in an #include, and which folder that is.
SPELLED = {folder.split("/")[1]: folder for folder in MAY_INCLUDE if "/" in folder}
SPELLED["pyhost"] = SPELLED.pop("include")

# Libraries: the start of what is written between the brackets, and the paths (as regular
# expressions) whose sources may include it. The headers of `host/include` that carry no values
# stay free of nlohmann, as everything does that an application could see in an exported symbol.
LIBRARIES = {
    "Python.h": [r"runtime/(python|worker|driver)/", r"runtime/image/core_", r"runtime/core\.cc"],
    "structmember.h": [r"runtime/(python|worker|driver)/"],
    "frameobject.h": [r"runtime/(python|worker|driver)/"],
    "numpy/": [r"runtime/python/"],
    "CLI/": [r"host/cli/"],
    "seccomp.h": [r"host/sandbox/"],
    "nlohmann/": [r"host/include/pyhost/(?!(error|result|export|options|outcome)\.h)", r"host/cli/",
                  r"host/(process|pool)/.*\.cc", r"runtime/(worker|image)/.*\.cc"],
    "fmt/": [r".*\.cc$"],
    "spdlog/": [r".*\.cc$"],
}
SYSTEM_FOLDERS = {"sys", "linux", "asm", "arpa", "net", "netinet"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(path):
    """The folder of MAY_INCLUDE a source belongs to; `runtime` for those that lie in it directly."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def target_of(root, path, bracket, name):
    """The folder an #include leads to, or None for a header that is not ours."""
    if bracket == '"':
        beside = (pathlib.PurePosixPath(path).parent / name).as_posix()
        if ".." in beside:
            beside = (root / beside).resolve().relative_to(root.resolve()).as_posix()
        if (root / beside).exists():
            return layer_of(beside)
    return SPELLED.get(name.split("/")[0]) if "/" in name else None


def offence(root, path, bracket, name):
    """What is wrong with one #include, or None."""
    layer = layer_of(path)
    for library, allowed in LIBRARIES.items():
        if name == library or (library.endswith("/") and name.startswith(library)):
            if any(re.match(pattern, path) for pattern in allowed):
                return None
            return f"`{library}` may be included only by {', '.join(allowed)}"
    target = target_of(root, path, bracket, name)
    if target is None:
        if "/" in name and name.split("/")[0] not in SYSTEM_FOLDERS:
            return "this library is not in the table of tests/checks/layers.py"
        return None
    if target == layer or target in MAY_INCLUDE[layer]:
        return None
    return f"`{layer}` may include {', '.join(MAY_INCLUDE[layer]) or 'nothing of ours'}; this is `{target}`"


def offences(root):
    root = pathlib.Path(root)
    for source in sorted([*root.glob("host/**/*"), *root.glob("runtime/**/*")]):
        if source.suffix not in (".h", ".cc"):
            continue
        path = source.relative_to(root).as_posix()
        if layer_of(path) not in MAY_INCLUDE:
            yield f"{path}: the folder `{layer_of(path)}` is not in the table of tests/checks/layers.py"
            continue
        text = source.read_text()
        for match in INCLUDE.finditer(text):
            wrong = offence(root, path, match.group(1), match.group(2))
            if wrong:
                line = text.count("\n", 0, match.start(2)) + 1
                yield f"{path}:{line}: includes `{match.group(2)}`: {wrong}"


if __name__ == "__main__":
    found = list(offences(sys.argv[1]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)
