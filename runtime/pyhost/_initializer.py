"""How the initializer of a pool gets to its workers."""

import sys

from pyhost import _remote, _spawning
from pyhost._core import core
from pyhost._functions import name_of


class _Call:
    """What the registry of functions keeps for ever; `Inherited` empties it."""

    __slots__ = ("function", "args")

    def __call__(self):
        self.function(*self.args)


class Inherited:
    """An initializer with its arguments for workers that are copies of this process: they have both already, so
    that nothing is pickled, and a lock, an open file or a lambda among the arguments is the driver's own.

    Lifetime: as long as workers may be forked; what it refers to is kept until then.
    """

    def __init__(self, function, args):
        self._call = _Call()
        self._call.function, self._call.args = function, args

    def __del__(self):
        self._call.function = self._call.args = None

    def wanted(self):
        """What the engine wants to know of it: codec, definition, name, arguments."""
        return "none", core.register_function(self._call), name_of(self._call.function), ()


def pickled(function, args, pickling, descriptors, preload):
    """The same of an initializer that travels. Descriptors among its arguments are appended to the list, and to
    the other what a zygote should import for it."""
    if "multiprocessing.context" not in sys.modules:
        return "pickle", pickling.dumps(function), name_of(function), args
    call = _spawning.dumps((function, args), pickling, descriptors)
    if b"multiprocessing" in call:
        preload.append("multiprocessing")  # once in the zygote instead of in each worker
    return "pickle", pickling.dumps(_remote.initialize), name_of(function), (call,)
