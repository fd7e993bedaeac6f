"""What `pyhost run` re-routes: process pools of other libraries, when their modules are imported.

A finder of the core, in front of sys.meta_path, asks `find_spec` for the modules below. The module is found and
executed as ever; then its part replaces the class in it.
"""

import gc
import sys

from pyhost import _interrupts
from pyhost._core import core

# Not from _settings: a script that imports such a module need not make a pool, and then imports little here.
_told = core.json_loads(core.run_options() or "{}")

# Module -> what `--adopt` calls it, and the module here whose `adopt` re-routes it.
_MODULES = {
    "concurrent.futures.process": ("futures", "_adopt_futures"),
    "multiprocessing.pool": ("multiprocessing", "_adopt_pool"),
    "joblib.parallel": ("joblib", "_adopt_joblib"),
}

_pools: dict = {}  # what is re-routed -> how many of its pools were made


def adopted() -> "dict[str, int]":
    """What runs on pyhost in this process though it was written for other pools: `"futures"`
    (ProcessPoolExecutor), `"multiprocessing"` (Pool), `"joblib"`, each with how many pools of it were made so far.

        >>> pyhost.adopted()        # in a script that `python3` runs
        {}

    Under `pyhost run`, what `--adopt` says, whose modules were imported; elsewhere nothing.
    """
    return dict(_pools)


def find_spec(name, path):
    """The spec that the other finders have for the module, with a loader that re-routes it; None without."""
    if not _is_wanted(name):
        return None
    _interrupts.end_in_one_line()
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or getattr(finder, "__name__", "") == "pyhost.adopt":
            continue
        spec = find(name, path, None)
        if spec is not None:
            if hasattr(spec.loader, "exec_module"):
                spec.loader = _Loader(spec.loader)
            return spec
    return None


class _Loader:
    """The module's own loader, which is all that is seen of it once the module is executed."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        was_enabled = gc.isenabled()
        gc.disable()  # it would look through all that is imported again and again, and none of that is garbage
        try:
            self._loader.exec_module(module)
            adopt(module)
        finally:
            if was_enabled:
                gc.enable()


def _is_wanted(name):
    names = _told.get("adopt")
    return name in _MODULES and (names is None or _MODULES[name][0] in names)


def adopt(module):
    """Re-routes a module that has been executed."""
    if not _is_wanted(module.__name__):
        return
    what, part = _MODULES[module.__name__]
    _pools.setdefault(what, 0)
    __import__(f"pyhost.{part}", fromlist=["adopt"]).adopt(module)


class Routed:
    """What the classes in front of the standard library's have in common. An instance has `_pyhost`, the pool of
    pyhost that it runs on; or, where there is an obstacle, it is what the standard library would make."""

    def _runs_on(self):
        return self.__dict__.get("_pyhost") or super()

    def __getattr__(self, name):
        if "_pyhost" not in self.__dict__ or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._pyhost, name)


def subclass(adopted, stdlib):
    """A class that has the methods of `adopted` before those of `stdlib`, and its name."""
    members = {"__module__": stdlib.__module__, "__qualname__": stdlib.__qualname__, "__doc__": stdlib.__doc__}
    for name, member in vars(adopted).items():
        if getattr(member, "__doc__", "") is None and hasattr(stdlib, name):
            member.__doc__ = getattr(stdlib, name).__doc__
        if isinstance(member, type(subclass)):  # a TypeError says it
            member.__qualname__ = f"{stdlib.__qualname__}.{name}"
    return type(stdlib)(stdlib.__name__, (adopted, stdlib), members)


def made(what, shown, start, workers):
    """Counts a pool that was made, and with `--verbose` says so."""
    if what != "joblib":
        from pyhost import _adopt_contexts
        _adopt_contexts.list_workers()
    _pools[what] = _pools.get(what, 0) + 1
    if _told.get("verbose"):
        count = "1 worker" if workers == 1 else f"{workers} workers"
        _say(f"{shown} at {_where()} runs on pyhost ({start}, {count})")


def left_alone(shown, reason):
    if _told.get("verbose"):
        _say(f"{shown} at {_where()} is left alone: {reason}")


def _say(text):
    stream = sys.__stderr__
    if stream is not None:
        stream.write(f"pyhost: {text}\n")
        stream.flush()


_LIBRARIES = ("pyhost", "multiprocessing", "concurrent", "joblib")


def _where():
    """The line of the script, or of a library of its, that made the pool."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    return f"{_interrupts.shown_path(frame.f_code.co_filename)}:{frame.f_lineno}"
