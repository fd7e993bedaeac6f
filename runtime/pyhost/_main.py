"""What workers know of `__main__`, and what has changed there since they were forked."""

import builtins
import sys
import types
import weakref

from pyhost import _wrappers

_ABSENT = object()


def main_globals():
    module = sys.modules.get("__main__")
    return vars(module) if module is not None else {}


def find(qualname):
    """The object of `__main__` with that qualified name, or None."""
    first, *rest = qualname.split(".")
    found = main_globals().get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found


def _names(code):
    """Every name that code, or code nested in it, may look up among its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class Watch:
    """What a function depends on, by identity: its code and defaults, the contents of its closure, the globals
    it names, and the same for the functions of its module among them.

    A value that is changed in place is not noticed, as it is not in a forked copy either. Whether all of it is as
    it was, `core.Known.is_for` says.
    """

    __slots__ = ("functions", "cells", "globals")
    ABSENT = _ABSENT

    def __init__(self, function):
        self.functions = []  # (function, code, defaults)
        self.cells = []      # (cell, contents)
        self.globals = []    # (namespace, name, value)
        self._add(function, set())

    def _add(self, function, seen):
        if id(function) in seen:
            return
        seen.add(id(function))
        self.functions.append((function, function.__code__, function.__defaults__))
        for cell in function.__closure__ or ():
            contents = _contents(cell)
            self.cells.append((cell, contents))
            if isinstance(contents, types.FunctionType):
                self._add(contents, seen)
        namespace = function.__globals__
        for name in {*_names(function.__code__)}:
            value = namespace.get(name, _ABSENT)
            if value is _ABSENT and hasattr(builtins, name):
                continue
            self.globals.append((namespace, name, value))
            if isinstance(value, types.FunctionType) and value.__globals__ is namespace:
                self._add(value, seen)


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return _ABSENT


class Snapshot:
    """The globals of `__main__` as workers forked from this process have them."""

    def __init__(self):
        self._values = {name: _reference(value) for name, value in main_globals().items()}

    def _unchanged(self, name):
        reference = self._values.get(name)
        value = main_globals().get(name, _ABSENT)
        if reference is None:
            return value is _ABSENT
        return reference() is value

    def knows(self, thing):
        """Whether workers find the same function or class under its name, with the same globals around it."""
        if not self._has(thing):
            return False
        function = _wrappers.wrapped(thing)
        if not isinstance(function, types.FunctionType):
            return True
        own = main_globals()
        return all(namespace is not own or self._unchanged(name) for namespace, name, _ in Watch(function).globals)

    def watch(self, function):
        """What to look at before a definition of the function is used again, or None."""
        return Watch(function)

    def _has(self, thing):
        qualname = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
        return self._unchanged(qualname.partition(".")[0]) and find(qualname) is thing

    def difference(self, function):
        """(name, whether workers have another value for it) of what keeps them from knowing it, or None."""
        own = main_globals()
        names = [name for namespace, name, _ in Watch(function).globals if namespace is own]
        for name in [function.__qualname__.partition(".")[0], *sorted(names)]:
            if name.isidentifier() and not self._unchanged(name):
                return name, name in self._values
        return None


class Copied(Snapshot):
    """The same for pools of the standard library, in which a function runs with the globals that a copy of this process
    has, whatever has become of them here. They may be what cannot be sent: the pool itself, for one."""

    def knows(self, thing):
        return self._has(thing)

    def watch(self, function):
        return None if self._has(function) else Watch(function)


def is_named(thing):
    """Whether `__main__` has it under its own name."""
    return find(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")) is thing


class Imported:
    """`__main__` as workers have it that import it: whatever has a name there has it in every process.

    One that is not there when it is imported (it is made under `if __name__ == "__main__":`) fails the call that
    needs it.
    """

    knows = staticmethod(is_named)
    watch = Watch

    def difference(self, function):
        return None


def _reference(value):
    """Calls give the value: weakly where that is possible, so that what the script drops is freed."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
