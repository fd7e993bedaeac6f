"""Pickling what `multiprocessing` lets through only while it starts a process: queues, locks, connections, shared
values. Starting a worker is that; descriptors go along over the control socket."""

import sys

from pyhost._core import core


class Descriptor:
    """A descriptor of the driver, as its workers inherit it."""

    def __init__(self, index):
        self._index = index

    def detach(self):
        return core.inherited_fd(self._index)


class WithKey:
    """Arguments that arrive behind the key by which processes of the driver know each other.

    For workers that began before the driver imported multiprocessing: a proxy among the arguments needs it.
    """

    def __init__(self, thing):
        self.thing = thing

    def __reduce__(self):
        from multiprocessing import process
        return _last, (_Key(bytes(process.current_process().authkey)), self.thing)


class _Key:
    def __init__(self, key):
        self._key = key

    def __reduce__(self):
        return _take_key, (self._key,)


def _last(_, thing):
    return thing


def _take_key(key):
    from pyhost import _bootstrap
    _bootstrap.take_key(key)


class _Start:
    """Stands for the object by which multiprocessing starts a process."""

    DupFd = Descriptor

    def __init__(self, descriptors):
        self._descriptors = descriptors

    def duplicate_for_child(self, fd):
        self._descriptors.append(fd)
        return len(self._descriptors) - 1


def dumps(thing, pickling, descriptors):
    """The pickle; the descriptors it refers to are appended to the list."""
    from multiprocessing import context
    context.set_spawning_popen(_Start(descriptors))
    try:
        return pickling.dumps_for_start(thing)
    finally:
        context.set_spawning_popen(None)


def reducers():
    """How multiprocessing pickles what `pickle` alone cannot: connections, sockets, memory; None: it is not there.

    Methods and partial objects, which it has reducers for too, need none.
    """
    reduction = sys.modules.get("multiprocessing.reduction")
    found = getattr(getattr(reduction, "ForkingPickler", None), "_extra_reducers", None)
    if not found:
        return None
    if len(found) != len(_known):
        _known.clear()
        _known.update(found)
        _usable.clear()
        _usable.update((kind, reduce) for kind, reduce in found.items()
                       if kind.__module__ not in ("builtins", "functools"))
    return _usable


_known, _usable = {}, {}


def refuse_fork_lock(thing):
    """A semaphore without a name can only be inherited: elsewhere its address leads anywhere."""
    synchronize = sys.modules.get("multiprocessing.synchronize")
    if synchronize is None or not isinstance(thing, synchronize.SemLock) or thing._semlock.name is not None:
        return
    if synchronize.context.get_spawning_popen() is None:
        return  # whose error is that no process is being started
    raise RuntimeError(f"a `{type(thing).__name__}` that was made for start method `fork` cannot go to workers that are "
                       f"no copies of this process; make it with `multiprocessing.get_context(\"spawn\")`")
