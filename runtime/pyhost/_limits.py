"""Limits as users write them, checked: times in seconds, sizes in bytes, with the value in every complaint."""

from __future__ import annotations

import math

from pyhost._core import core

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any

# The limits of single calls; what is None is the pool's.
OF_CALLS = ("timeout", "cpu", "retries", "retry_on", "grace")

KINDS = ("crashed", "timeout", "memory", "cpu", "exception")

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def seconds(name: str, value: Any, zero: bool = False):
    """A time above 0, or 0 itself with `zero`, as a float; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(type(value), "__float__") and not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} is `{value!r:.100}`; expected seconds, as in 1.5")
    number = float(value)
    if not number > 0 and not (zero and number == 0):
        raise ValueError(f"{name} is {value}; it must be greater than 0 seconds")
    return number


def count(name: str, value: Any, least: float = 0):
    """A whole number, `least` or more; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} is `{value!r:.100}`; expected a whole number")
    number = value.__index__()
    if number < least:
        raise ValueError(f"{name} is {number}; it must be at least {least}")
    return number


def size(name: str, value: Any):
    """Bytes: a whole number, or text such as `512M` or `1.5 GiB` (units of 1024); None stays None."""
    if not isinstance(value, str):
        return count(name, value, 1)
    text = value.strip().upper()
    for ending in ("IB", "B"):
        if text.endswith(ending):
            text = text[:-len(ending)]
            break
    unit = text[-1:] if text[-1:] in _UNITS else ""
    try:
        number = float(text[:len(text) - len(unit)])
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf or int(number * _UNITS[unit]) < 1:
        raise ValueError(f"{name} is `{value}`; expected bytes, or a size such as `512M` or `2G`")
    return int(number * _UNITS[unit])


def workers(value: Any):
    """(fewest, most) of `4` or `(1, 8)`; (0, 0): as many as there are CPUs for this process."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"max_workers is {value!r}; expected a number, or (fewest, most)")
        fewest, most = count("fewest of max_workers", value[0]), count("max_workers", value[1], 1)
        if fewest is None or most is None or fewest > most:
            raise ValueError(f"max_workers is {value!r}; expected a number, or (fewest, most)")
        return fewest, most
    number = count("max_workers", value, -math.inf)
    if number <= 0:  # concurrent.futures' words
        raise ValueError(f"max_workers must be greater than 0; it is {number}")
    return number, number


def choice(name: str, value: Any, choices: tuple):
    """One of some words; None stays None."""
    if value is not None and value not in choices:
        raise ValueError(f"{name} is `{value}`; expected {' or '.join(f'`{word}`' for word in choices)}")
    return value


def causes(value: Any):
    """What `retry_on` names, as the engine knows it: kinds, and qualified names of exceptions."""
    if value is None:
        return None
    if isinstance(value, (str, type)):
        value = (value,)
    found = []
    for cause in value:
        found.extend(_names_of_class(cause) if isinstance(cause, type) else _names_of_text(cause))
    return tuple(dict.fromkeys(found))


def _names_of_class(cls):
    if not issubclass(cls, BaseException):
        raise TypeError(f"retry_on has `{cls.__qualname__}`, which is no exception")
    if cls in (Exception, BaseException):
        return KINDS
    kinds = [kind for kind, classes in _classes_of_kinds().items() if cls in classes]
    return [*kinds, cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"]


def _classes_of_kinds():
    """Those that mean a failure of the host's, too, when they are named."""
    import concurrent.futures
    from pyhost import errors
    return {
        "timeout": (errors.TaskTimeout, TimeoutError, concurrent.futures.TimeoutError),
        "memory": (errors.TaskMemoryError, MemoryError),
        "cpu": (errors.TaskCpuError,),
        "crashed": (errors.WorkerCrashed, *errors.WorkerCrashed.__mro__[1:3]),  # BrokenProcessPool, BrokenExecutor
    }


def _names_of_text(text):
    import builtins
    if not isinstance(text, str):
        raise TypeError(f"retry_on has `{text!r:.100}`; expected exception classes, or kinds: {', '.join(KINDS)}")
    known = getattr(builtins, text, None)
    if text in KINDS or "." in text or isinstance(known, type) and issubclass(known, BaseException):
        return [text]
    raise ValueError(f"retry_on has `{text}`; expected exception classes, or kinds: {', '.join(KINDS)}")


def require_callable(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"`{function!r:.200}` is not callable")


def refuse_capture(capture: bool, name: str) -> None:
    """Raises where results are no futures, which could have a `stdout`."""
    if capture:
        raise ValueError(f"the results of `{name}` have no `stdout` for what `capture=True` captures; use `submit`, or "
                         f"`options(capture=False).{name}`")


def of_calls(timeout=None, cpu=None, retries=None, retry_on=None, grace=None):
    """Those given, as a dict."""
    limits = {"timeout": seconds("timeout", timeout), "cpu": seconds("cpu", cpu), "retries": count("retries", retries),
              "retry_on": causes(retry_on), "grace": seconds("grace", grace, zero=True)}
    return {name: value for name, value in limits.items() if value is not None}


def native(limits):
    """What the engine takes: made once for many calls."""
    return core.Limits(**limits) if limits else None
