"""Maps of what is pickled with other things in the standard library: callables with state, and shared objects.

There each chunk of a map is one pickle, the function included. So a callable with state starts in each chunk as it was
when the map was made; what several items of a chunk share is sent once, and is one object there, too. Here items travel
one by one, under a function that workers keep. That is right for most maps; for the others there are

- `run`, which workers call for whole chunks, pickled as there;
- `Fresh`, a callable with state that calls get as it was, without being sent with each.
"""

import types

from pyhost import _wrappers

# Objects of these types are small, or are sent by name: sharing them saves nothing.
_LIGHT = (int, float, complex, bool, type(None), type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_LIGHT_BYTES = 256  # of text
_MOST_ARGUMENTS = 16  # of a row that are looked at: longer ones are data


def run(function, star, items):
    return [function(*item) for item in items] if star else [function(item) for item in items]


class Fresh:
    def __init__(self, pickled):
        self._pickled = pickled

    def __call__(self, *args, **kwargs):
        import pickle
        return pickle.loads(self._pickled)(*args, **kwargs)


class FreshCoroutine(Fresh):
    """The same of a coroutine function, as one."""

    async def __call__(self, *args, **kwargs):
        return await super().__call__(*args, **kwargs)


def fresh(function, pickled):
    return (FreshCoroutine if _wrappers.is_coroutine_function(function) else Fresh)(pickled)


def has_state(function):
    """Whether calls of it may leave something that later calls see, though it travels by pickle. What a cache holds does
    not matter."""
    from pyhost import _functions  # not for workers, which run chunks
    if isinstance(function, types.BuiltinFunctionType):
        return not isinstance(function.__self__, types.ModuleType) and not _is_fixed(function.__self__)
    if _functions.has_no_state(function) or type(function).__module__ == "operator":  # itemgetter and the like
        return False
    if _wrappers.is_partial(function):
        return has_state(function.func) or not all(map(_is_fixed, (*function.args, *function.keywords.values())))
    return True


def _is_fixed(thing):
    """Whether nothing can be changed in it."""
    if type(thing) in (tuple, frozenset):
        return all(map(_is_fixed, thing))
    return thing is None or type(thing) in (int, float, complex, bool, str, bytes)


def share(rows):
    """Whether neighbours among the rows, or what stands at the same place in them, are the same object, worth sharing."""
    if type(rows) not in (list, tuple):
        return _repeats(rows)
    return any(_are_related(rows[at - 1], rows[at]) for at in {1, len(rows) // 2, len(rows) - 1}
               if 0 < at < len(rows))


def _repeats(iterable):
    return type(iterable).__module__ == "itertools" and type(iterable).__name__ == "repeat" \
        and not _is_light(iterable.__reduce__()[1][0])


def _are_related(one, other):
    if one is other:
        return not _is_light(one)
    if type(one) not in (list, tuple) or type(one) is not type(other):
        return False
    pairs = zip(one[:_MOST_ARGUMENTS], other[:_MOST_ARGUMENTS])
    return any(mine is its and not _is_light(mine) for mine, its in pairs)


def _is_light(thing):
    if isinstance(thing, (str, bytes)):
        return len(thing) < _LIGHT_BYTES
    return isinstance(thing, _LIGHT)


def cut(items, size):
    """Tuples of so many items."""
    import itertools
    items = iter(items)
    return iter(lambda: tuple(itertools.islice(items, size)), ())


def joined(results):
    """The results of chunks one by one, as concurrent.futures has them: what fails fails its chunk."""
    try:
        for chunk in results:
            yield from chunk
    finally:
        results.close()
