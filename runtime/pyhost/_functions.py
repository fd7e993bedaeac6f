"""Which number a function has in a pool, and when it needs a new one.

A function travels to each worker once, as a definition with a number. How depends on where it can be found:
importable ones go by name; those of `__main__` by name where the workers' snapshot has them, else by value;
what carries state (bound methods, partials, callable objects) goes along with each call, as an argument.
"""

import sys
import types
import weakref

from pyhost import _main, _wrappers
from pyhost._core import core


# Bytes of a callable's state that are loaded anew for each call of a map: in well under 0.1 ms.
_MOST_RELOADED = 64 * 1024


def _importable(function):
    """Whether any process finds the function by its name."""
    module = getattr(function, "__module__", None)
    if not module or module == "__main__":
        return False
    home = sys.modules.get(module)
    if home is None or getattr(home, "__spec__", None) is None:
        return False
    found = home
    for name in getattr(function, "__qualname__", "<").split("."):
        found = getattr(found, name, None)
    return found is function


def name_of(function):
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def has_no_state(function):
    """Whether it may go once for many calls; what a cache holds does not matter."""
    return isinstance(function, (types.FunctionType, types.BuiltinFunctionType, type)) or _wrappers.is_cache(function) \
        or _wrappers.is_task(function)


class Functions:
    """The numbers of functions in one engine.

    Threads: any. Two threads may define the same function at once: they get the same number.
    """

    def __init__(self, engine, pickling):
        self._engine = engine
        self._pickling = pickling
        self.known = {}  # id -> core.Known
        self._apply = None
        self._captured = {}  # number of a function -> that of the function with its text captured

    def of_snapshot(self, function, registered):
        """Notes that workers have `function` as number `registered` of the registry."""
        number = self._engine.define("none", registered, name_of(function))
        self._keep(function, number, _main.Watch(function))

    def find(self, function):
        """(number, whether that is the number of `_remote.apply`, which takes the function as an argument)."""
        known = self.known.get(id(function))
        if known is not None and known.number is not None and known.is_for(function):
            return known.number, False
        if not has_no_state(function):
            return self._number_of_apply(), True
        if isinstance(function, types.BuiltinFunctionType) and not isinstance(function.__self__, types.ModuleType):
            return self._number_of_apply(), True
        if self._is_passing(function, known):
            self._keep(function, None, None)
            return self._number_of_apply(), True
        return self.define(function), False

    def find_capturing(self, function, shared):
        """(number, arguments before those of the call, whether those follow as a tuple and a dict) of the function
        with what it prints captured; `shared`: workers run several calls at a time."""
        from pyhost import _captured, _capturing
        number, applied = self.find(function)
        if applied:
            if None not in self._captured:
                self._captured[None] = self._define(_capturing.call)
            return self._captured[None], (shared, function), True
        if number not in self._captured:
            wrapped = self._pickling.dumps(_captured.capturing(function, shared))
            self._captured[number] = self._engine.define("pickle", wrapped, name_of(function))
        return self._captured[number], (), False

    def define(self, function):
        """The number of a definition of the function as it is now."""
        watch = None
        if not _importable(function):
            inner = _wrappers.wrapped(function)
            watch = self._pickling.watch(inner) if isinstance(inner, types.FunctionType) else None
        number = self._define(function)
        if has_no_state(function):
            self._keep(function, number, watch)
        return number

    def define_for_map(self, function, exact):
        """The number of a function for the calls of a map. One with state reaches each call as it is now; but if that is
        large, and `exact` is not asked for, workers keep it from call to call."""
        from pyhost import _chunks
        if not _chunks.has_state(function):
            return self.define(function)
        pickled = self._pickling.dumps(function)
        if len(pickled) > _MOST_RELOADED and not exact:
            return self._engine.define("pickle", pickled, name_of(function))
        definition = self._pickling.dumps(_chunks.fresh(function, pickled))
        return self._engine.define("pickle", definition, name_of(function))

    def _is_passing(self, function, known):
        """A closure or lambda seen for the first time: most are used once, and definitions stay for ever."""
        seen = known is not None and known.refers_to(function)
        return not seen and (name_of(function).endswith("<lambda>") or bool(getattr(function, "__closure__", None)))

    def _define(self, function):
        return self._engine.define("pickle", self._pickling.dumps(function), name_of(function))

    def _number_of_apply(self):
        if self._apply is None:
            from pyhost import _remote
            self._apply = self._define(_remote.apply)
        return self._apply

    def _keep(self, function, number, watch):
        key = id(function)
        known = self.known

        def forget(reference):  # uses no global: those are gone when the interpreter ends
            entry = known.get(key)
            if entry is not None and entry.reference is reference:
                del known[key]

        try:
            reference = weakref.ref(function, forget)
        except TypeError:  # builtins are there for ever
            reference = function
        known[key] = core.Known(reference, number, watch)


def register(function, snapshot):
    """Registers a function that workers will inherit, if that is how they should find it; its number or None."""
    if not isinstance(function, types.FunctionType) or _importable(function) or snapshot.knows(function):
        return None
    return core.register_function(function)
