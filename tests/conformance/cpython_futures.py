"""CPython's tests of concurrent.futures as one namespace, for their two layouts: a module until 3.11, then a package."""

import importlib
import types

_MODULES = ("util", "executor", "test_as_completed", "test_deadlock", "test_future", "test_init", "test_process_pool",
            "test_shutdown", "test_wait")


def load():
    """All their names, and `modules`: those in which to replace what the tests call by name."""
    suite = importlib.import_module("test.test_concurrent_futures")
    if not hasattr(suite, "__path__"):
        return types.SimpleNamespace(**vars(suite), modules=[suite])
    modules = [importlib.import_module(f"{suite.__name__}.{name}") for name in _MODULES]
    names = {name: value for module in modules for name, value in vars(module).items()}
    names["setUpModule"] = names["setup_module"]
    return types.SimpleNamespace(**names, modules=modules)


def replace(suite, name, value):
    """Puts the value where a module of the suite has that name."""
    for module in suite.modules:
        if hasattr(module, name):
            setattr(module, name, value)
