"""CPython's tests of one subject as one namespace, whether they are a module or, as some from 3.12 on, a package."""

import importlib
import types


def load(name, *parts):
    """What `test.name`, or the parts of that package, defines; and `modules`, those in which to replace what tests
    call by name."""
    suite = importlib.import_module(f"test.{name}")
    modules = [suite]
    if hasattr(suite, "__path__"):
        modules = [importlib.import_module(f"test.{name}.{part}") for part in parts]
    names = {name: value for module in modules for name, value in vars(module).items()}
    return types.SimpleNamespace(**names, modules=modules)


def replace(suite, name, value):
    """Puts the value where a module of the suite has that name."""
    for module in suite.modules:
        if hasattr(module, name):
            setattr(module, name, value)
