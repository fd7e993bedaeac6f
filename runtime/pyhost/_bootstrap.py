"""Makes a worker what `multiprocessing` expects of a process of the driver's; `_inheritance` is the other end.

Imported in workers where `multiprocessing` is. The core sees to that: when it is there already as the worker begins,
and else when it is imported.
"""

import copyreg
import itertools
import os
import sys

from pyhost import _names
from pyhost._core import core

if "logging" in sys.modules:
    __import__("pyhost._records")  # here, in the zygote, instead of in every worker


def _facts():
    text = core.inheritance()
    return core.json_loads(text.encode()) if text else {}


class _Then:
    """A loader that has something done once its module is there."""

    def __init__(self, loader, then):
        self._loader = loader
        self._then = then

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            self._then()
        except Exception:  # is not the importer's
            sys.excepthook(*sys.exc_info())


def find_spec(name, path):
    """What the import system asks before its own finders, of the modules below."""
    from _frozen_importlib_external import PathFinder
    spec = PathFinder.find_spec(name, path)
    if spec is not None and hasattr(spec.loader, "exec_module"):
        spec.loader = _Then(spec.loader, _AFTER[name])
    return spec


def _after_context():
    _prepare()
    _teach_pickle()
    if core.current_worker() >= 0:
        identify(core.current_worker(), core.worker_identity())


def _after_tracker():
    from pyhost import _tracker
    module, index = sys.modules["multiprocessing.resource_tracker"], _facts().get("tracker")
    if index is not None:
        module._resource_tracker._fd = core.inherited_fd(index)
    _tracker.share(module, _whom_to_ask)


def _whom_to_ask():
    """The mark of records for the driver, and its pid; None in what is no worker of a Python driver."""
    facts = _facts()
    return (facts["record_mark"], facts["parent"]) if core.current_worker() >= 0 and facts.get("record_mark") else None


def _teach_pickle():
    """Results are pickled by `pickle`, which would send the number of a descriptor and not what is behind it."""
    from pyhost import _spawning
    for kind, reduce in (_spawning.reducers() or {}).items():
        copyreg.pickle(kind, reduce)


def _after_logging():
    if core.current_worker() >= 0:
        send_log_records()


def send_log_records():
    """Has the driver handle this worker's log records, if it wants them."""
    facts = _facts()
    if facts.get("records"):
        from pyhost import _records
        _records.install(facts["record_mark"], *facts.get("log_levels") or ())


def set_warnings():
    """The filters of the driver, as `_inheritance.warnings_filters` describes them."""
    import warnings
    filters = []
    for action, message, category, module, line in _facts()["warnings"]:
        home, _, name = category.rpartition(":")
        try:
            found = getattr(__import__(home, fromlist=[name]), name)
        except Exception:  # not importable here: nothing here warns of it
            continue
        patterns = [None if text is None else _compiled(text) for text in (message, module)]
        filters.append((action, patterns[0], found, patterns[1], line))
    warnings.filters[:] = filters
    warnings._filters_mutated()


def _compiled(text):
    import re
    return re.compile(text[0], text[1]) if isinstance(text, list) else text


_AFTER = {"logging": _after_logging, "multiprocessing.context": _after_context,
          "multiprocessing.resource_tracker": _after_tracker, "multiprocessing.connection": _teach_pickle}


def catch_up():
    """In an interpreter that imported multiprocessing before pyhost had a say: its `sitecustomize` did."""
    for name, then in _AFTER.items():
        if name in sys.modules:
            then()


def _prepare():
    """What every interpreter of the driver's has in common. A copy of the driver was told nothing: it has it."""
    process, context = sys.modules["multiprocessing.process"], sys.modules["multiprocessing.context"]
    facts = _facts()
    if _late_key is not None:
        process.current_process().authkey = _late_key
    if "authkey" in facts:
        process.current_process().authkey = bytes.fromhex(facts["authkey"])
        process.ORIGINAL_DIR = facts["original_dir"]
    if facts.get("start_method"):
        context._default_context.set_start_method(facts["start_method"], force=True)
    if "log_level" in facts:
        from multiprocessing import util
        if facts["log_to_stderr"] and facts["records"]:  # the driver's handler shows the records of this worker
            util._log_to_stderr = True  # in processes that it starts
        elif facts["log_to_stderr"]:
            util.log_to_stderr()
        util.get_logger().setLevel(facts["log_level"])


_late_key = None


def take_key(key):
    """The key of a driver that imported multiprocessing after this worker began."""
    global _late_key
    if key == _late_key:
        return
    _late_key = key
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = key


def import_main():
    """Imports the main module of the driver under the name `__mp_main__`, if the driver wants that."""
    facts = _facts()
    main = facts.get("main")
    if main is None:
        return
    from multiprocessing import process, spawn
    # Of whichever worker: scripts ask whether it is `MainProcess`, for which this interpreter is not to pass.
    main["name"] = _names.name_of(facts, 0, facts["first_identity"])
    own = process.current_process()
    own._inheriting = True  # whoever starts a process now is told of the missing guard
    try:
        spawn.prepare(main)
    finally:
        del own._inheriting


def keeps_numpy_seed(numpy_random):
    """Whether copies of the process draw the same numbers, as in the standard library's pools after
    `numpy.random.seed(0)`. Without a seed of its own the script cannot tell, and gets different ones."""
    try:
        own = numpy_random.mtrand._rand._bit_generator._seed_seq is None
    except AttributeError:  # of another numpy
        return False
    return own and bool(_facts().get("as_stdlib"))


def identify(number, identity):
    """Puts this worker in the place of the current process, and the driver in that of its parent.

    multiprocessing believes that the processes and finalizers of the original are ours: at exit it would terminate
    the driver's processes. The steps are those it takes in its own children.
    """
    from multiprocessing import context, process
    facts = _facts()
    if facts.get("method"):
        context._force_start_method(facts["method"])
    original = process._current_process
    own = _make_process(process, original, number, identity, facts)
    process._children = set()
    process._process_counter = itertools.count(1)
    process._current_process = own
    process._parent_process = _parent(process, own)
    _teach_pickle()
    if "multiprocessing.resource_tracker" in sys.modules:
        _after_tracker()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()
    del original  # its finalizers are gone only now


def _parent(process, own):
    """The driver, which may be another process than `os.getppid()`. None: the host is no Python."""
    if own._parent_pid is None:
        return None
    try:
        sentinel = os.pidfd_open(own._parent_pid)
    except (AttributeError, OSError):  # a kernel, or a Python built for one, that has none
        return None
    return process._ParentProcess(own._parent_name, own._parent_pid, sentinel)


def _make_process(process, original, number, identity, facts):
    """A process object without its constructor, which is about starting one."""

    class Process(process.BaseProcess):
        _start_method = None

    own = Process.__new__(Process)
    own._identity = _names.full_identity(facts, identity)
    own._config = dict(original._config)
    if facts.get("daemon") is not None:
        own._config["daemon"] = facts["daemon"]
    own._parent_pid = facts.get("parent")
    own._parent_name = facts.get("parent_name", "MainProcess")
    own._popen = None
    own._closed = False
    own._name = _names.name_of(facts, number, identity)
    return own
