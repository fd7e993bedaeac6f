"""Values and exceptions that are hard to send, each bad in its own way."""

import threading


class RaisesInReduce:
    def __reduce__(self):
        raise LookupError("reduce says no")


class ReducesToNonsense:
    def __reduce__(self):
        return 1, 2, 3


class RaisesInGetstate:
    def __getstate__(self):
        raise LookupError("getstate says no")


class RaisesInSetstate:
    def __init__(self):
        self.x = 1

    def __setstate__(self, state):
        raise LookupError("setstate says no")


class RebuildsWrongly:
    def __reduce__(self):
        return int, ("eleven",)


class RaisesInGetattr:
    __slots__ = ()

    def __getattr__(self, name):
        raise LookupError("getattr says no")

    def __reduce__(self):
        raise LookupError("reduce says no")


class Slots:
    __slots__ = ("name", "lock")

    def __init__(self):
        self.name = "slots"
        self.lock = threading.Lock()


class State:
    def __init__(self):
        self.lock = threading.Lock()

    def __getstate__(self):
        return {"kept": [self.lock]}


class Deque:
    def __init__(self):
        from collections import deque
        self.queue = deque([1, threading.Lock()])


class GrowsWhileItIsSent:
    def __init__(self, others):
        self.others = others

    def __reduce__(self):
        self.others[len(self.others)] = None
        return str, ()


class RaisesInDel:
    def __del__(self):
        raise LookupError("del says no")


class Holding(Exception):
    """What it holds cannot be sent."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class Demanding(Exception):
    def __init__(self, first, *, second):
        super().__init__(f"{first} and {second}")


def growing():
    found = {}
    found["first"] = GrowsWhileItIsSent(found)
    found["second"] = 2
    return found


def deep(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


def make(name, *args):
    return globals()[name](*args)


def echo(value):
    return value


def throw(name, *args, **kwargs):
    raise globals()[name](*args, **kwargs)


def recurse(level):
    return recurse(level + 1)


def generate():
    yield 1
