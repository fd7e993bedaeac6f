"""The native half of the package, `_pyhost_core`: found loaded, or loaded from beside the package."""

import os
import sys

import _imp

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"


def _runtime_folder():
    """The folder of the cores: the package lies in <folder>/python/pyhost.

    Links are not resolved: in a build tree the package is a link to its sources.
    """
    named = os.environ.get("PYHOST_RUNTIME_DIR")
    if named:
        return named
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _no_core(folder):
    try:
        found = sorted(name[len("pyhost-core-"):-len(".so")] for name in os.listdir(folder)
                       if name.startswith("pyhost-core-") and name.endswith(".so"))
    except OSError:
        found = []
    version = ".".join(map(str, sys.version_info[:3]))
    there = f"there are cores for {', '.join(found)}" if found else "there are no cores at all"
    return ImportError(f"pyhost has no core for CPython {version} ({TAG}) in `{folder}`; {there}; "
                       f"add `{sys.executable}` to PYHOST_PYTHONS and rebuild, or set PYHOST_RUNTIME_DIR")


def _load():
    loaded = sys.modules.get("_pyhost_core")
    if loaded is not None:
        return loaded
    folder = _runtime_folder()
    path = os.path.join(folder, f"pyhost-core-{TAG}.so")
    if not os.path.exists(path):
        raise _no_core(folder)
    # The import system's own two steps; its Python half would cost milliseconds.
    spec = type(__spec__)("_pyhost_core", None, origin=path)
    module = _imp.create_dynamic(spec)
    sys.modules["_pyhost_core"] = module
    _imp.exec_dynamic(module)
    return module


if TYPE_CHECKING:
    from pyhost import _native
    core = _native
else:
    core = _load()
