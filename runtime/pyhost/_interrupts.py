"""Under `pyhost run`, a script with a pool that Ctrl-C ends says so in one line.

Where it was waiting for its workers is no news; the stack of it, and of whatever it was closing, would be all that is
left on the terminal. Exit status and everything else are python's, as is the traceback of a script without pools.
"""

import os
import sys

from pyhost._core import core

_before = None  # the sys.excepthook that was there


def end_in_one_line():
    """From now on, unless the script sets a hook of its own or this is no `pyhost run`."""
    global _before
    if _before is None and core.run_options() is not None:
        _before, sys.excepthook = sys.excepthook, _report


def _report(kind, error, trace):
    if kind is not KeyboardInterrupt:
        _before(kind, error, trace)
    elif sys.stderr is not None:
        print(f"KeyboardInterrupt{_where(trace)}", file=sys.stderr)


def _where(trace):
    """The innermost line of the script, as far as it can be told from the libraries."""
    own, place = os.path.dirname(os.path.abspath(__file__)), None
    libraries = (own, os.path.dirname(os.path.abspath(os.__file__)), "<frozen ")
    while trace is not None:
        code = trace.tb_frame.f_code
        if place is None or not code.co_filename.startswith(libraries):
            place = code, trace.tb_lineno
        trace = trace.tb_next
    if place is None:
        return ""
    code, line = place
    return f" at {shown_path(code.co_filename)}:{line}" + ("" if code.co_name == "<module>" else f" in {code.co_name}")


def shown_path(path):
    """Without the current folder."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # removed
        return path
    return path[len(folder):] if path.startswith(folder) else path
