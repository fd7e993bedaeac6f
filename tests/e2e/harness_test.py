"""The harness notices what a test leaves behind."""

import mmap
import os
import pathlib
import subprocess
import sys
import unittest
import unittest.mock

import harness


def map_new(path):
    """As `sem_open`: it has its name only when it is mapped."""
    unnamed = path.with_suffix(".new")
    with open(unnamed, "wb+") as file:
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096)
    os.link(unnamed, path)
    unnamed.unlink()
    return mapped


class Leaves(harness.E2E):
    """Bad tests, run by the good ones below."""

    def a_process(self):
        subprocess.Popen(["sleep", "60"]).returncode = 0  # nobody waits for it

    def an_orphan_in_its_own_session(self):
        subprocess.run(["sh", "-c", "setsid sleep 60 & exit"], check=True)

    def shared_memory(self):
        name = pathlib.Path(f"/dev/shm/pyhost-harness-{os.getpid()}")
        name.touch()
        self.addClassCleanup(name.unlink)

    def a_descriptor(self):
        self.addClassCleanup(os.close, os.open("/dev/null", os.O_RDONLY))

    def shared_memory_that_it_has_mapped(self):
        name = pathlib.Path(f"/dev/shm/pyhost-harness-{os.getpid()}")
        self.addClassCleanup(name.unlink)
        self.addClassCleanup(map_new(name).close)

    def time_for_others(self):
        print("running", flush=True)
        sys.stdin.readline()

    def nothing(self):
        self.assertEqual(self.run_program("cat", input="a").out, "a")


class Harness(unittest.TestCase):
    def result_of(self, name):
        result = unittest.TestResult()
        unittest.TestSuite([Leaves(name)]).run(result)
        return [text.splitlines()[-1] for _, text in result.failures + result.errors], result

    def assert_noticed(self, name, message):
        with unittest.mock.patch("harness.GONE_WITHIN", 0.3):  # it will not go
            lines, result = self.result_of(name)
        self.assertEqual(len(result.failures), 1, result.errors)
        self.assertIn(message, result.failures[0][1], lines)

    def test_notices_a_process_that_outlives_the_test(self):
        self.assert_noticed("a_process", "processes outlived the test")

    def test_notices_an_orphan_that_left_the_session(self):
        self.assert_noticed("an_orphan_in_its_own_session", "sleep 60")

    def test_notices_an_entry_in_dev_shm(self):
        self.assert_noticed("shared_memory", "new entries in /dev/shm")
        self.assert_noticed("shared_memory_that_it_has_mapped", "new entries in /dev/shm")

    def test_leaves_an_entry_that_another_program_has_mapped_to_that(self):
        with subprocess.Popen([sys.executable, __file__, "Leaves.time_for_others"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "PYHOST_E2E_GONE_WITHIN": "0.3"}) as test:
            self.assertEqual(test.stdout.readline(), b"running\n")
            path = pathlib.Path(f"/dev/shm/pyhost-harness-{os.getpid()}")
            self.addCleanup(path.unlink)
            self.addCleanup(map_new(path).close)
            _, said = test.communicate(b"\n")

        self.assertEqual(test.returncode, 0, said.decode())

    def test_notices_a_descriptor(self):
        self.assert_noticed("a_descriptor", "descriptors left open")

    def test_accepts_a_test_that_cleans_up(self):
        self.assertEqual(self.result_of("nothing")[0], [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]], defaultTest="Harness")
