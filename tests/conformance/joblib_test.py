"""joblib's own tests of `Parallel`, with pyhost's backend in the place of loky's: where they name it, and as the
default. Tests of its other backends alone are not run."""

import os
import pathlib
import sys

import conformance

SITE = pathlib.Path(__file__).resolve().parent / "joblib_site"
AT_LEAST = 150


class Selection:
    """A plugin of pytest: chooses the tests, and counts them."""

    def __init__(self, release):
        self.excluded = conformance.exclusions("joblib", release)
        self.other_parameters = conformance.other_parameters("joblib", release)
        self.used = set()
        self.failed = []
        self.ran = 0

    def pytest_collection_modifyitems(self, config, items):
        kept = []
        for item in items:
            hit = self.excluded.keys() & names_of(item)
            self.used |= hit | self.set_up_differently(item)
            if not hit and is_about_loky(item):
                kept.append(item)
        items[:] = kept

    def set_up_differently(self, item):
        """Gives the test the parameters it is to have here; what names it there."""
        hit = self.other_parameters.keys() & names_of(item)
        for name in hit:
            for values in (item.callspec.params, getattr(item.callspec, "funcargs", {})):
                values.update({key: value for key, value in self.other_parameters[name].items() if key in values})
        return hit

    def pytest_runtest_logreport(self, report):
        self.ran += report.when == "call"
        if report.failed:
            self.failed.append(report.nodeid)


def names_of(item):
    """What an exclusion may call it. Since 1.3 tests that start programs have a form for each backend."""
    return {item.name, item.originalname, item.originalname.removesuffix("_loky")}


def is_about_loky(item):
    """Whether a test takes no backend, or takes loky's among others."""
    values = [value for name, value in getattr(getattr(item, "callspec", None), "params", {}).items()
              if name.endswith("backend")]
    return not values or any(value in (None, "loky", "back_compat_backend") or type(value).__name__ == "LokyBackend"
                             for value in values)


def main():
    import joblib
    packages = pathlib.Path(joblib.__file__).parents[1]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SITE), str(conformance.PACKAGES), str(packages)])
    sys.path.insert(0, str(SITE))
    import loky_is_pyhost
    import pytest
    loky_is_pyhost.install()
    selection = Selection(tuple(map(int, joblib.__version__.split(".")[:2])))
    tests = pathlib.Path(joblib.__file__).parent / "test/test_parallel.py"
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:warnings", "--durations=5", "--tb=short", str(tests)],
                         plugins=[selection])
    unused = (selection.excluded.keys() | selection.other_parameters.keys()) - selection.used
    print(f"joblib: {selection.ran} tests, {len(selection.failed)} failed, {len(selection.excluded)} excluded, "
          f"{len(selection.other_parameters)} set up differently", file=sys.stderr)
    if unused:
        sys.exit(f"joblib: exclusions that name no test: {', '.join(sorted(unused))}")
    if selection.ran < AT_LEAST:
        sys.exit(f"joblib: only {selection.ran} tests were found, expected {AT_LEAST}")
    sys.exit(int(status))


if __name__ == "__main__":
    main()
