"""The exception for what cannot be sent: a `MarshalError`, and what pickle raised, for those who expect that."""

from pyhost._core import core

MarshalError = core.MarshalError

# What pickle refuses values with, by the names that workers send; true: its own PicklingError, not imported here.
_KINDS = {"_pickle.PicklingError": True, "pickle.PicklingError": True, "TypeError": TypeError,
          "AttributeError": AttributeError, "RecursionError": RecursionError}

_classes = {}  # class of pickle's exception -> the class that is both


def refused(error: MarshalError, cause: Exception) -> MarshalError:
    """`error`, as an instance of the class of `cause` too, where such a class can be made."""
    kind = type(cause)
    if isinstance(error, kind):
        return error
    try:
        if kind not in _classes:
            _classes[kind] = type("MarshalError", (MarshalError, kind), {
                "__module__": "pyhost", "__init__": MarshalError.__init__, "__str__": MarshalError.__str__,
                "__reduce__": lambda self: (MarshalError, self.args)})
        return _classes[kind](*error.args)
    except Exception:  # its memory layout, or its `__new__`, does not allow it
        return error


def again(error: MarshalError, cause: str) -> MarshalError:
    """The same in the driver, for what a worker could not send. `cause`: the name of the exception's class there."""
    kind = _KINDS.get(cause)
    if kind is None:
        return error
    import pickle
    return refused(error, kind() if isinstance(kind, type) else pickle.PicklingError())
