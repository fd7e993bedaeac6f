"""Which pools there are, so that none outlives the interpreter, and none is taken into a forked process."""

import os
import sys
import threading
import weakref

from pyhost._core import core

from pyhost import _interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

# How long callbacks may go on after Ctrl-C, in seconds. Less, and those that only take a moment are cut; more, and one
# that hangs is noticed.
_CALLBACK_PATIENCE = 1.0

_lock = threading.RLock()  # a garbage collection below it may drop, and so close, a pool
_pools: "weakref.WeakSet[Any]" = weakref.WeakSet()  # adopted, not released
_draining: "List[Any]" = []  # engines that finish in the background
_dying: "List[Any]" = []     # those of them that are killed when the interpreter ends
_registered = False
_ending = False


def adopt(pool):
    """From now on the pool is closed when the interpreter ends."""
    global _registered
    with _lock:
        if _ending:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if not _registered:
            # Before non-daemon threads are joined, which may wait for futures, and before atexit functions.
            threading._register_atexit(_close_all)
            _interrupts.end_in_one_line()
            # What the thread that handles log records was importing, or had locked, would stay so in a forked process.
            os.register_at_fork(before=core.await_records)
            _registered = True
        if pool.killed_at_exit and not _pools_to_kill():
            import atexit
            # After non-daemon threads were joined, which may use it. Registered again for each, since the function
            # of multiprocessing, which is to run later, may be there only now.
            atexit.unregister(_kill_all)
            atexit.register(_kill_all)
        _pools.add(pool)
        for engines in _draining, _dying:
            engines[:] = [engine for engine in engines if not engine.drained]


def release(pool):
    with _lock:
        _pools.discard(pool)


def pools():
    """Those that are open."""
    with _lock:
        return list(_pools)


def drain_later(engine, killed_at_exit):
    """Keeps an engine that finishes its work until it has, or until the interpreter ends."""
    with _lock:
        (_dying if killed_at_exit else _draining).append(engine)


def _pools_to_kill():
    return [pool for pool in _pools if pool.killed_at_exit]


def _kill_all():
    with _lock:
        pools, engines = _pools_to_kill(), list(_dying)
    for pool in pools:
        pool.close(kill=True)
    for engine in engines:
        engine.kill()
    _stop_settlers()


def _is_interrupted():
    """Whoever pressed Ctrl-C does not want to wait for what was under way."""
    return getattr(sys, "last_type", None) is KeyboardInterrupt


def _stop_settlers():
    core.end_records()
    if "pyhost.futures" in sys.modules:
        sys.modules["pyhost.futures"].stop_settlers(_CALLBACK_PATIENCE if _is_interrupted() else None)


def _close_all():
    global _ending
    with _lock:
        _ending = True
        to_kill = _pools_to_kill()
        pools, draining = [pool for pool in _pools if not pool.killed_at_exit], list(_draining)
    interrupted = _is_interrupted()
    try:
        for pool in pools:
            pool.close(kill=interrupted)
        for engine in draining:
            engine.kill() if interrupted else engine.wait_drained()
    except KeyboardInterrupt:
        _interrupts.say_at_exit()
        for pool in pools:
            pool.close(kill=True)
        for engine in draining:
            engine.kill()
    if not to_kill and not _dying:
        _stop_settlers()


def _forget():
    """In a forked process: the pools belong to the one it was forked from."""
    global _lock, _ending
    _lock = threading.RLock()
    _pools.clear()
    _draining.clear()
    _dying.clear()
    _ending = False


os.register_at_fork(after_in_child=_forget)
