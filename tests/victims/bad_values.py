"""Functions whose results or exceptions are hard to carry."""


def fine(x):
    return x


def a_set(x):
    return {"rows": [1, {2, 3}]}


def an_object(x):
    return object()


def not_a_number(x):
    return [float("nan")]


def itself(x):
    loop = []
    loop.append(loop)
    return loop


def deep(x):
    value = []
    for _ in range(x):
        value = [value]
    return value


def surrogate(x):
    return "\ud800"


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


class Unpicklable(Exception):
    def __init__(self, text, handle):
        super().__init__(text)
        self.handle = handle

    def __reduce__(self):
        raise TypeError("cannot be pickled")


def raise_silent(x):
    raise Silent()


def raise_unpicklable(x):
    raise Unpicklable("it broke", open("/dev/null"))


def raise_chained(x):
    try:
        {}["inner"]
    except KeyError as error:
        raise ValueError("outer") from error


def call_exit(x):
    import sys
    sys.exit(5)


def interrupt(x):
    raise KeyboardInterrupt


def huge_string(x):
    return "x" * x


def eat_memory(x):
    return len([bytearray(1 << 20) for _ in range(x)])
