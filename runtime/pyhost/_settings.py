"""The defaults of pools: what `pyhost run` was told, else pyhost's own."""

from pyhost._core import core

STARTS = ("auto", "fork", "zygote", "spawn")


def _read():
    run_options = getattr(core, "run_options", None)
    text = run_options() if run_options is not None else None
    return core.json_loads(text) if text else {}


_options = _read()


def default_workers():
    """Workers of a pool that was not told how many; 0: the CPUs this process may use.

    A pool inside a worker has one: its siblings have the other CPUs.
    """
    return 1 if core.current_worker() >= 0 else int(_options.get("workers") or 0)


def default_start():
    return _options.get("start") or "auto"


def default_timeout():
    """Seconds each task may run, or None."""
    return _options.get("timeout")


def image():
    return _options.get("image") or "auto"


def preload():
    """Modules that a zygote imports before it forks workers."""
    wanted = _options.get("preload") or []
    return wanted.split(",") if isinstance(wanted, str) else list(wanted)


def choose_start(wanted):
    """`fork` or another start method for `auto`: a fork copies only the thread that forks, so whatever lock
    another thread holds would stay locked in the workers."""
    if wanted not in STARTS:
        raise ValueError(f"unknown start method `{wanted}`; expected one of {', '.join(STARTS)}")
    if wanted != "auto":
        return wanted
    return "fork" if core.foreign_threads() == 0 else "zygote"
