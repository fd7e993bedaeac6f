"""Pickling for workers and for the driver: by reference what the other side can import, by value the rest.

Most objects are pickled by the C pickler of the standard library. What it refuses, and what names `__main__`,
which differs between driver and workers, goes through cloudpickle.
"""

import copyreg
import io
import pickle
import sys
import types
import weakref

from pyhost import _main, _spawning, _wrappers
from pyhost._core import core

MarshalError = core.MarshalError

# Pickles of what a worker shall find in `__main__` contain this.
_MAIN = b"__main__"


def find_cloudpickle():
    try:
        import cloudpickle
        return cloudpickle
    except ImportError:
        pass
    try:
        from joblib.externals import cloudpickle
        return cloudpickle
    except ImportError:
        return None


runs_batches = False  # in a worker of joblib's calls, whose results have files by their content, as cloudpickle does
_cloudpickle = None
_picklers: dict = {}  # cloudpickle or None -> the class made for it

# Classes that were sent or received by value: a second definition of one must not change it.
_classes_by_value: "weakref.WeakSet[type]" = weakref.WeakSet()


def _set_class_state(cls, state):
    setter, state, qualname = state
    if cls not in _classes_by_value:
        setter(cls, state)
        cls.__qualname__ = qualname  # not all versions of cloudpickle keep it
        _classes_by_value.add(cls)
    return cls


def _main_object(qualname):
    """What a worker calls by the name it has in the driver's `__main__`."""
    found = _main.find(qualname)
    if found is None:
        for cls in list(_classes_by_value):
            if cls.__module__ == "__main__" and cls.__qualname__ == qualname:
                return cls
        raise AttributeError(f"`__main__` has no `{qualname}`")
    return found


def _driver_has(thing):
    """Whether a function or class of the worker's `__main__` has its name in the driver's, too."""
    if "<" in thing.__qualname__:
        return False
    # One that a task made has not: the worker knows its own `__main__`, and the classes it was sent.
    return not isinstance(thing, type) or thing in _classes_by_value or _main.find(thing.__qualname__) is thing


def _needs_cloudpickle(thing):
    return MarshalError(f"`{thing.__qualname__}` of `__main__` must be sent by value, and cloudpickle is missing; "
                        f"install it (Debian: python3-cloudpickle), or put the definition into a module")


def _is_standard(file):
    """Whether cloudpickle sends it as a name in `sys`."""
    return file is sys.stdout or file is sys.stderr


def _reduce_file(file):
    """As the standard library's pickler does, which refuses it. cloudpickle would send a StringIO in its place: what
    was read or written there would not be in the file."""
    reduce = copyreg.dispatch_table.get(type(file))
    return reduce(file) if reduce is not None else file.__reduce_ex__(5)


def pickler_class(cloudpickle):
    """The pickler over cloudpickle, or over the standard library where that is missing."""
    if cloudpickle in _picklers:
        return _picklers[cloudpickle]
    base = cloudpickle.Pickler if cloudpickle else pickle.Pickler

    class Pickler(base):
        # What of `__main__` goes by its name; None: nothing does.
        knows = None
        to_driver = False
        reducers = None  # those of multiprocessing, where that is imported
        files_by_content = False

        def reducer_override(self, thing):
            if self.reducers is not None:
                _spawning.refuse_fork_lock(thing)
                if type(thing) in self.reducers:
                    return self.reducers[type(thing)](thing)
            if isinstance(thing, (types.FunctionType, type)) and thing.__module__ == "__main__":
                if self.to_driver and _driver_has(thing):
                    return _main_object, (thing.__qualname__,)
                if self.knows is not None and self.knows(thing):
                    return NotImplemented
                if cloudpickle is None:
                    raise _needs_cloudpickle(thing)
                if _wrappers.is_dispatcher(thing):
                    return _wrappers.reduce_dispatcher(thing)
            elif type(thing) is io.TextIOWrapper and not (self.files_by_content or _is_standard(thing)):
                return _reduce_file(thing)
            elif type(thing) is core.ContextVar:
                from pyhost import _context
                return _context.reduce_variable(thing) or NotImplemented
            elif _wrappers.is_named_in_main(thing) and type(thing) not in getattr(self, "dispatch_table", ()):
                return self._reduce_named(thing)
            if cloudpickle is None:
                return NotImplemented
            return _guard_class(thing, super().reducer_override(thing))

        def _reduce_named(self, thing):
            # Pickled by reference for its own part, which only helps where that leads somewhere.
            name = thing.__reduce_ex__(5)
            if not isinstance(name, str):
                return NotImplemented if cloudpickle is None else super().reducer_override(thing)
            if self.to_driver:
                return _main_object, (name,)
            if self.knows is not None and self.knows(thing):
                return NotImplemented
            if _wrappers.is_cache(thing):
                return _wrappers.reduce_cache(thing)
            if _wrappers.is_task(thing):
                return _wrappers.reduce_task(thing)
            raise MarshalError(f"cannot send `{name}` (`{type(thing).__qualname__}`): workers do not have it, because "
                               f"it was made or rebound in `__main__` after the pool started; make it before the first "
                               f"call, or put it into a module")

    _picklers[cloudpickle] = Pickler
    return Pickler


def _guard_class(thing, reduced):
    """Replaces cloudpickle's setter of class state, which changes classes that are there already."""
    if not isinstance(thing, type) or not isinstance(reduced, tuple) or len(reduced) < 6 or reduced[5] is None:
        return reduced
    _classes_by_value.add(thing)
    make, arguments, state, items, pairs, setter = reduced
    return make, arguments, (setter, state, thing.__qualname__), items, pairs, _set_class_state


def _by_value(thing, buffer_callback, knows, to_driver):
    global _cloudpickle
    if _cloudpickle is None:
        _cloudpickle = find_cloudpickle()
    file = io.BytesIO()
    pickler = pickler_class(_cloudpickle)(file, protocol=5, buffer_callback=buffer_callback)
    pickler.knows = knows
    pickler.to_driver = to_driver
    pickler.reducers = _spawning.reducers()
    pickler.files_by_content = to_driver and runs_batches
    try:
        pickler.dump(thing)
    except pickle.PicklingError as error:
        if isinstance(error.__cause__, RecursionError):  # what the standard library's pickler raises
            raise error.__cause__ from None
        raise
    return file.getvalue()


class _Reducing(pickle.Pickler):
    """With multiprocessing's reducers, which its own pickler has in place of these."""

    def __init__(self, file, reducers, buffer_callback):
        super().__init__(file, 5, buffer_callback=buffer_callback)
        self.dispatch_table = {**copyreg.dispatch_table, **reducers}


def _standard_dumps(thing, buffer_callback):
    reducers = _spawning.reducers()
    if not reducers:
        return pickle.dumps(thing, 5, buffer_callback=buffer_callback)
    file = io.BytesIO()
    _Reducing(file, reducers, buffer_callback).dump(thing)
    return file.getvalue()


def _names_only(data, knows):
    """Whether workers have all of `__main__` that the pickle names."""
    names = core.names_in_pickle(data, "__main__")
    found = [_main.find(name) for name in names or ()]
    return names is not None and all(thing is not None and knows(thing) for thing in found)


def _is_mainly_own(thing, depth=3):
    """Whether something of `__main__` is to be seen at a glance."""
    if type(thing) in (tuple, list):
        return depth > 0 and any(_is_mainly_own(part, depth - 1) for part in thing[:_GLANCED_AT])
    return getattr(thing if isinstance(thing, type) else type(thing), "__module__", None) == "__main__"


_GLANCED_AT = 8  # of a list: a long one of other things is not worth more time for each call


def _dumps(thing, buffer_callback, knows, to_driver):
    if knows is None and (to_driver or _is_mainly_own(thing)):
        # It would be pickled twice, and asked twice for its state.
        return _by_value(thing, buffer_callback, knows, to_driver)
    # The core's callback is bound to the list it appends to: a second attempt starts over.
    taken = getattr(buffer_callback, "__self__", None)
    before = len(taken) if taken is not None else 0
    try:
        data = _standard_dumps(thing, buffer_callback)
        if _MAIN not in data or knows is _main.is_named:
            return data
        if knows is not None and _names_only(data, knows):
            return data  # what it names workers have: no need to import cloudpickle
    except MemoryError:
        raise
    except Exception:
        pass  # the pickler below says better what is wrong, or manages
    if taken is not None:
        del taken[before:]
    return _by_value(thing, buffer_callback, knows, to_driver)


def dumps(thing, buffer_callback=None):
    """From a worker to its driver, where everything of `__main__` has its name; what plain pickle has refused."""
    try:
        return _dumps(thing, buffer_callback, None, True)
    except MarshalError:
        raise
    except Exception as error:
        raise explain(thing, error, None, True) from error


class Pickling:
    """From a driver to workers that know of `__main__` what `snapshot` has, or nothing when it is None."""

    is_told = True    # whether workers know the authentication key of multiprocessing
    inherited = None  # what must live as long as the engine that refers to this

    def __init__(self, snapshot):
        self._snapshot = snapshot
        self._knows = snapshot.knows if snapshot is not None else None
        self.watch = snapshot.watch if snapshot is not None else _main.Watch

    def dumps(self, thing, buffer_callback=None):
        late = not self.is_told and "multiprocessing.context" in sys.modules
        try:
            return _dumps(_spawning.WithKey(thing) if late else thing, buffer_callback, self._knows, False)
        except MarshalError:
            raise
        except Exception as error:
            raise self._refusal(thing, error) from error

    def dumps_for_start(self, thing):
        """While multiprocessing starts a process; what that refuses is its own error."""
        try:
            return _by_value(thing, None, self._knows, False)
        except (MarshalError, RuntimeError):
            raise
        except Exception as error:
            raise self._refusal(thing, error) from error

    def _refusal(self, thing, error):
        from pyhost import _refused
        return _refused.refused(explain(thing, error, self._knows, False, self._snapshot), error)


def explain(thing, error, knows, to_driver, snapshot=None):
    from pyhost import _culprit

    def can_send(member):
        try:
            _dumps(member, None, knows, to_driver)
        except Exception:
            return False
        return True

    path, culprit, function = _culprit.find(thing, can_send)
    return MarshalError(f"cannot send `{type(culprit).__qualname__}` at {path}: {type(error).__name__}: {error}; "
                        + (_culprit.why_it_stays(culprit) or _why_by_value(function, snapshot)
                           or "leave it out, or define `__reduce__` for it"))


def _why_by_value(function, snapshot):
    """Why a function takes its globals along, and what to do about it; None: no reason that helps."""
    difference = snapshot.difference(function) if snapshot is not None and function is not None else None
    if difference is None:
        return None
    name, rebound = difference
    sent = f"`{function.__qualname__}` is sent by value, with the globals it uses, because "
    if name == function.__qualname__:
        what = "rebound" if rebound else "defined"
        return f"{sent}it was {what} after the pool started; define it before the first call, or in a module"
    what = "rebound" if rebound else "first bound"
    return f"{sent}`{name}` was {what} after the pool started; pass `{name}` as an argument, or set it before the " \
           f"first call"
