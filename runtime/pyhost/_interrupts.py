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
        return
    if sys.stderr is not None:
        print(f"KeyboardInterrupt{_where(trace)}", file=sys.stderr)
    import threading
    threading.excepthook = _without_consequences(threading.excepthook)


def _without_consequences(hook):
    """The hook for threads of the script, but not for what they get because the pools end now."""
    def report(args):
        name = getattr(args.exc_type, "__name__", "")
        refused = name == "RuntimeError" and "cannot schedule new futures after" in str(args.exc_value)
        if not refused and name not in ("CancelledError", "BrokenProcessPool", "WorkerCrashed"):
            hook(args)

    return report


def say_at_exit():
    """For a Ctrl-C after the last line of the script, which python does not report either by its exit status."""
    if _before is not None and sys.stderr is not None:
        print("KeyboardInterrupt while the script's pools finished; what was left is cancelled", file=sys.stderr)


def _where(trace):
    """The innermost line of the script, as far as it can be told from the libraries."""
    place = None
    while trace is not None:
        if place is None or not _is_library(trace.tb_frame):
            place = trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next
    if place is None:
        return ""
    code, line = place
    return f" at {shown_path(code.co_filename)}:{line}" + ("" if code.co_name == "<module>" else f" in {code.co_name}")


def _is_library(frame):
    path = frame.f_code.co_filename
    if path.startswith("<"):  # made by `exec`, unless it is the script's
        return frame.f_globals.get("__name__") != "__main__"
    folders = (os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.abspath(os.__file__)))
    return path.startswith(folders) or "/site-packages/" in path or "/dist-packages/" in path


def shown_path(path):
    """Without the current folder."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # removed
        return path
    return path[len(folder):] if path.startswith(folder) else path
