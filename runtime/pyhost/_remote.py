"""What runs in workers besides the user's functions. Imported there by name."""


def apply(function, args, kwargs):
    """Calls a callable that travelled as an argument, because it has state that may change between calls."""
    return function(*args, **kwargs) if kwargs else function(*args)


_initialized = {}  # key -> None, or the exception of the initializer


class Initialized:
    """A function that runs an initializer before its first call in a worker, once for all with the same key."""

    def __init__(self, key, initializer, initargs, function):
        self.key = key
        self.initializer = initializer
        self.initargs = initargs
        self.function = function

    def __call__(self, *args, **kwargs):
        if self.key not in _initialized:
            self._initialize()
        failure = _initialized[self.key]
        if failure is not None:
            from pyhost.errors import StartupError
            raise StartupError(f"the initializer of this pool raised `{type(failure).__name__}`: {failure}") from failure
        return self.function(*args, **kwargs)

    def _initialize(self):
        try:
            self.initializer(*self.initargs)
        except Exception as failure:
            _initialized[self.key] = failure
        else:
            _initialized[self.key] = None
