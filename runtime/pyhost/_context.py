"""Context variables of a caller, for its call on a worker.

    driver: variables set in this context --where a module holds them--> {(module, name): pickled value} --> worker

A worker finds a variable where the driver has it: in a module, by the name it has there. One of `__main__` that the
worker has not got, because it is no copy of the driver, is made there (`variable`), once, for functions sent by value
that use it. Variables that no module holds, and values that cannot be pickled, stay behind. So does the context of
`decimal` as long as it is the default.
"""

from __future__ import annotations

import pickle
import sys
from contextvars import Context, ContextVar, copy_context

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Dict

# id of a variable -> (it, its place or None). Variables cannot be referred to weakly, and those that no module holds
# may be made for each call: with that many, all are forgotten. Fewer, and a program with more is searched again and again.
_places: Dict[int, tuple] = {}
_MOST_PLACES = 256
_made: Dict[tuple, ContextVar] = {}  # place -> the variable made for it
_DECIMAL = ("decimal", "")  # its variable is nobody's attribute


def _search(variable):
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                return name, attribute
    for place, made in _made.items():
        if made is variable:
            return place
    return _DECIMAL if variable.name == "decimal_context" else None


def _place(variable):
    known = _places.get(id(variable))
    if known is None:
        if len(_places) >= _MOST_PLACES:
            _places.clear()
        known = _places[id(variable)] = variable, _search(variable)
    return known[1]


def _is_default(context):
    """Whether a context of `decimal` counts as every thread's first one does."""
    import decimal
    default = decimal.DefaultContext
    return all(getattr(context, name) == getattr(default, name)
               for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps"))


def carrier(dumps):
    """What the driver calls for each call that has a context: its variables as bytes, or None.

    dumps: pickles a value for the workers
    """
    def carry():
        found = {}
        for variable, value in copy_context().items():
            place = _place(variable)
            if place is None or (place is _DECIMAL and _is_default(value)):
                continue
            try:
                found[place] = dumps(value)
            except Exception:
                continue
        return pickle.dumps(found, 5) if found else None
    return carry


def within(items, star, context):
    """Items of a map as calls that have that context."""
    if star:
        return ((item, None, context) for item in items)
    return (((item,), None, context) for item in items)


def load(data):
    """The context for a call on a worker: what its initializer set, and what the caller has set over it."""
    context = copy_context()
    values = []
    for place, pickled in pickle.loads(data).items():
        try:
            values.append((_find(place), pickle.loads(pickled)))
        except Exception:  # its class is not there: as in the driver, what cannot travel stays behind
            continue
    context.run(_set, values)
    return context


def _set(values):
    for variable, value in values:
        if variable is not None:
            variable(value)


def _find(place):
    """What sets the variable in the current context, or None."""
    module, name = place
    if place == _DECIMAL:
        import decimal
        return decimal.setcontext
    found = _made.get(place)
    if found is None:
        found = getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name, None)
    return found.set if isinstance(found, ContextVar) else None


def reduce_variable(variable):
    """How a function that is sent by value takes along a variable it uses."""
    place = _place(variable)
    if place is None or place is _DECIMAL:
        return None
    try:
        return make_variable, (place, variable.name, (Context().run(variable.get),))
    except LookupError:
        return make_variable, (place, variable.name, ())


def make_variable(place, name, default):
    """The variable of that place, made if there is none."""
    module, attribute = place
    found = getattr(sys.modules.get(module), attribute, None)
    if module != "__main__" and found is None:
        found = getattr(__import__(module, fromlist=[attribute]), attribute, None)
    if isinstance(found, ContextVar):
        return found
    if place not in _made:
        _made[place] = ContextVar(name, default=default[0]) if default else ContextVar(name)
    return _made[place]
