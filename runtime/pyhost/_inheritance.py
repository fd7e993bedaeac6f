"""What a driver hands down to the workers of a pool: where it is, how it was started, and what its `multiprocessing`
knows. `_bootstrap` is the other end.

`multiprocessing` is not imported for this: what has no need of it in the driver has none in a worker.
"""

import itertools
import os
import sys

from pyhost._core import core


def gather(settings, start, descriptors):
    """The argument `inherited` of `core.Engine`. `descriptors`: those to hand over, to which this adds its own."""
    facts = _facts(settings)
    workers = settings.workers.get("workers") or core.usable_cpus()
    inherited = {"first_identity": _first_identity(workers)}
    if start == "fork":
        if "multiprocessing.context" in sys.modules or "logging" in sys.modules:
            __import__("pyhost._bootstrap")  # an import after the fork would copy hundreds of pages
    else:
        facts.update(_multiprocessing_facts())
        if not settings.as_stdlib:
            facts.update(_logging_facts())
        if settings.main == "import":
            facts.update(main=main_module(), first_identity=inherited["first_identity"])
        if core.run_options() is not None:
            facts["run"] = core.run_options()
        tracker = _tracker()
        if tracker is not None:
            facts["tracker"] = len(descriptors)
            descriptors.append(tracker)
        inherited.update(sys_path=_sys_path(), argv=[_utf8(text) for text in sys.argv], folder=_folder(),
                         flags=_flags(), descriptors=descriptors)
    inherited["text"] = core.json_dumps(facts).decode()
    return inherited


def main_module():
    """How workers import the main module, as an argument of `multiprocessing.spawn.prepare`; None: they cannot."""
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        # What is called __main__ runs its main part whenever it is imported.
        return None if name == "__main__" or name.endswith(".__main__") else {"init_main_from_name": name}
    path = getattr(main, "__file__", None)
    if path is None:  # an interactive interpreter, or `-c`
        return None
    return {"init_main_from_path": os.path.normpath(os.path.join(_original_folder() or "", path))}


def refuse_while_importing_main():
    """Workers of a pool must not make a pool while they import the main module: there would be no end of it."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        raise RuntimeError("a worker that imports the main module came to code that starts a pool; put that code "
                           "under `if __name__ == \"__main__\":`")


def _facts(settings):
    """Of this process, whatever the start method."""
    facts = {"parent": os.getpid(), "name": settings.process_name, "daemon": settings.daemon, "method": settings.method,
             "record_mark": core.record_mark(), "records": not settings.as_stdlib,
             "as_stdlib": settings.as_stdlib}
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        own = process.current_process()
        facts.update(parent_name=own.name, parent_identity=list(own._identity))
    return facts


def _logging_facts():
    """Levels of loggers and filters of warnings, where they are not those of every new interpreter."""
    facts = {}
    if "logging" in sys.modules:
        from pyhost import _records
        facts["log_levels"] = _records.levels()
    filters = warnings_filters()
    if filters is not None:
        facts["warnings"] = filters
    return facts


# (action, category, module) of the filters that Python begins with, unless it was told others by -W.
_FIRST_FILTERS = [("default", "DeprecationWarning", "__main__"), ("ignore", "DeprecationWarning", None),
                  ("ignore", "PendingDeprecationWarning", None), ("ignore", "ImportWarning", None),
                  ("ignore", "ResourceWarning", None)]


def warnings_filters():
    """The filters as JSON can have them; None: workers have the same."""
    warnings = sys.modules.get("warnings")
    if warnings is None:
        return None
    filters = list(warnings.filters)
    if [(action, category.__name__, module) for action, _, category, module, _ in filters] == _FIRST_FILTERS:
        return None
    return [[action, _pattern(message), f"{category.__module__}:{category.__qualname__}", _pattern(module), line]
            for action, message, category, module, line in filters]


def _pattern(text):
    return text if text is None or isinstance(text, str) else [text.pattern, text.flags]


def _multiprocessing_facts():
    """What copies of this process have anyway."""
    if "multiprocessing.context" not in sys.modules:
        return {}
    from multiprocessing import context, process
    facts = {"authkey": process.current_process().authkey.hex(), "original_dir": process.ORIGINAL_DIR,
             "start_method": context._default_context.get_start_method(allow_none=True)}
    util = sys.modules.get("multiprocessing.util")
    if util is not None and util._logger is not None:
        facts["log_level"] = util._logger.getEffectiveLevel()
        facts["log_to_stderr"] = bool(util._log_to_stderr)
    return facts


def _tracker():
    """The descriptor of the process that cleans up shared memory and semaphores, if it runs; or None.

    One that is started later is handed over when a worker asks for it.
    """
    if "multiprocessing.resource_tracker" not in sys.modules:
        return None
    from pyhost import _tracker
    return _tracker.running()


def _first_identity(workers):
    """Numbers for that many workers, which processes of `multiprocessing` do not have."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return core.reserve_identities(1, workers)
    first = core.reserve_identities(next(process._process_counter), workers)
    process._process_counter = itertools.count(first + workers)
    return first


def _sys_path():
    here = _original_folder()
    return [_utf8(os.fspath(folder)) if folder != "" or here is None else _utf8(here) for folder in sys.path]


def _original_folder():
    process = sys.modules.get("multiprocessing.process")
    return process.ORIGINAL_DIR if process is not None else _folder()


def _folder():
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _utf8(text):
    return os.fsencode(text).decode("utf-8", "replace")


def _flags():
    """The flags of this interpreter that make a difference to another one."""
    flags = sys.flags
    names = ("debug", "optimize", "no_user_site", "no_site", "ignore_environment", "verbose", "bytes_warning", "quiet",
             "isolated", "dev_mode")
    given = any(getattr(flags, name) for name in names) or getattr(flags, "safe_path", False)
    if flags.dont_write_bytecode and not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        given = True
    if not (given or sys.warnoptions or sys._xoptions):
        return []
    import subprocess
    return subprocess._args_from_interpreter_flags()
