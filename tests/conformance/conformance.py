"""Runs tests of other projects on pyhost, as they stand but for what exclusions.txt says."""

import ast
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("PYHOST_BUILD", HERE.parents[1] / "build/dev"))
PACKAGES = pathlib.Path(os.environ.get("PYHOST_RUNTIME", BUILD / "lib/pyhost")) / "python"
PYHOST = os.environ.get("PYHOST_BIN", str(BUILD / "bin/pyhost"))
sys.path.insert(0, str(PACKAGES))


def lines_of(section, suite, fields, release):
    """(whether every release has it, test, *other fields) of each line; of `fields` the last is the reason."""
    within = None
    for line in (HERE / "exclusions.txt").read_text().splitlines():
        if line.startswith("["):
            within = line[1:].partition(":")[0]
        elif within == section and line.strip() and not line.startswith("#"):
            name, *found, _reason = line.split(None, fields)
            name, _, since = name.partition(">=")
            if name == suite and release >= tuple(int(number) for number in since.split(".") if number):
                yield not since, *found


def exclusions(suite, release=sys.version_info):
    """{test: whether every release has it} of one suite."""
    return {test: everywhere for everywhere, test in lines_of("not run", suite, 2, release)}


def other_parameters(suite, release):
    """{test: {parameter: its value here}} of one suite that is parametrized."""
    found = {}
    for _, test, setting in lines_of("set up differently", suite, 3, release):
        name, _, value = setting.partition("=")
        found.setdefault(test, {})[name] = ast.literal_eval(value)
    return found


def names_of(test):
    """What an exclusion may call it."""
    cls, method = type(test).__name__, test._testMethodName
    return f"{cls}.{method}", method, f"{cls}."


def tests_in(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_in(test)
        else:
            yield test


def without_excluded(suite, tests):
    """The tests as one TestSuite, and one more: that an exclusion still names a test."""
    excluded = exclusions(suite)
    kept, used = [], set()
    for test in tests:
        hit = excluded.keys() & set(names_of(test))
        used |= hit
        if not hit:
            kept.append(test)

    class Exclusions(unittest.TestCase):
        def test_each_names_a_test(self):
            self.assertEqual({test for test in excluded.keys() - used if excluded[test]}, set())

    return unittest.TestSuite([*kept, Exclusions("test_each_names_a_test")])


def run(suite, cases, at_least):
    """Runs what `cases` (TestCase classes) hold, and exits. Fewer than `at_least` tests is a failure: a suite whose
    tests were not found would pass."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    tests = without_excluded(suite, [test for case in cases for test in tests_in(load(case))])
    count = tests.countTestCases()
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    print(f"{suite}: {count} tests, {len(result.skipped)} skipped, {len(exclusions(suite))} excluded", file=sys.stderr)
    if count < at_least:
        sys.exit(f"{suite}: only {count} tests were found, expected {at_least}")
    sys.exit(not result.wasSuccessful())
