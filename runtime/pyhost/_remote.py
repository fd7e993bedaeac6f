"""What runs in workers besides the user's functions. Imported there by name."""


def apply(function, args, kwargs):
    """Calls a callable that travelled as an argument, because it has state that may change between calls."""
    return function(*args, **kwargs) if kwargs else function(*args)


def initialize(call):
    """Calls the pickled pair of a function and its arguments: what could be pickled only for the start of a worker."""
    import pickle
    function, args = pickle.loads(call)
    function(*args)


class Parts:
    """Pickles an exception whose `__init__` takes other arguments than its `args`; it loads as that exception."""

    def __init__(self, exception):
        self.exception = exception

    def __reduce__(self):
        return assemble, (type(self.exception), self.exception.args, self.exception.__dict__)


def assemble(cls, args, state):
    """An exception of a class, without its `__init__`."""
    exception = cls.__new__(cls, *args)
    exception.args = args
    exception.__dict__.update(state)
    return exception


class LoggedInitializer:
    """An initializer whose failure is logged where it happened, as concurrent.futures does."""

    def __init__(self, function):
        self.function = function
        self.__qualname__ = getattr(function, "__qualname__", None) or type(function).__qualname__

    def __call__(self, *args):
        try:
            self.function(*args)
        except BaseException:
            import logging
            import sys
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            if "multiprocessing.util" in sys.modules:  # the record may be in a queue's thread; this worker ends now
                sys.modules["multiprocessing.util"]._exit_function()
            raise
