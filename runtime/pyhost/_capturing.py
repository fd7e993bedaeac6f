"""What workers run for calls whose printed text is captured. Imported there by name."""

import contextvars
import io
import sys

# Of the call in this context, where several are in flight.
_current: "contextvars.ContextVar" = contextvars.ContextVar("pyhost_stdout")


class _PerCall:
    """sys.stdout of a worker with several calls in flight: that of the call which uses it, else the worker's own."""

    def __init__(self, other):
        self.__dict__["_other"] = other

    def __getattr__(self, name):
        return getattr(_current.get(self._other), name)

    def __setattr__(self, name, value):
        setattr(_current.get(self._other), name, value)

    def __iter__(self):
        return iter(_current.get(self._other))


class _Capture:
    """sys.stdout for the length of a call. An exception takes along what was printed until then.

    Unless `shared`, whoever uses it puts the worker's own back, in a `finally`: in `__exit__` the interruption that
    stops a call could come before that.
    """

    def __init__(self, shared):
        self._shared = shared
        self._bytes = io.BytesIO()
        self._stream = io.TextIOWrapper(self._bytes, "utf-8", "backslashreplace", newline="\n", write_through=True)

    def __enter__(self):
        if not self._shared:
            sys.stdout = self._stream
            return self
        if type(sys.stdout) is not _PerCall:
            sys.stdout = _PerCall(sys.stdout)
        self._token = _current.set(self._stream)
        return self

    def __exit__(self, kind, error, trace):
        if self._shared:
            _current.reset(self._token)
        if error is not None:
            error.__dict__["__pyhost_stdout__"] = self.text()

    def text(self):
        if not self._stream.closed:  # by the task, whose text is gone then
            self._stream.flush()
        return "" if self._bytes.closed else self._bytes.getvalue().decode("utf-8", "backslashreplace")


def call(shared, function, args, kwargs):
    """(what was printed, what was returned); for an awaitable, an awaitable of that."""
    before = sys.stdout
    try:
        with _Capture(shared) as capture:
            value = function(*args, **kwargs) if kwargs else function(*args)
    finally:
        if not shared:
            sys.stdout = before
    return _of_awaitable(capture, shared, value) if hasattr(type(value), "__await__") else (capture.text(), value)


async def _of_awaitable(capture, shared, awaitable):
    before = sys.stdout
    try:
        with capture:
            value = await awaitable
    finally:
        if not shared:
            sys.stdout = before
    return capture.text(), value


class Capturing:
    """A function whose calls are captured, for workers to have once. `shared`: they run several calls at a time."""

    def __init__(self, function, shared):
        self._function = function
        self._shared = shared

    def __call__(self, *args, **kwargs):
        return call(self._shared, self._function, args, kwargs)


class CapturingCoroutine(Capturing):
    """The same of a coroutine function, as one."""

    async def __call__(self, *args, **kwargs):
        return await _of_awaitable(_Capture(self._shared), self._shared, self._function(*args, **kwargs))
