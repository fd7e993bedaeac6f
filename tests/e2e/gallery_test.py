"""The gallery: one script per way people parallelize Python. Each says the same under python3, under `pyhost run`, and
in its form for pyhost; and those that use process pools really use pyhost's."""

import harness
from harness import EXAMPLES, PYTHON

GALLERY = EXAMPLES / "gallery"

# Script -> whose pool it makes, as `-v` shows it; None: nothing in it is re-routed.
SCRIPTS = {
    "asyncio_executor.py": "ProcessPoolExecutor(2)",
    "joblib_chunks.py": "joblib.Parallel(n_jobs=2)",
    "manager_dict.py": None,
    "pool_map.py": "multiprocessing.Pool(2)",
    "process_pool.py": "ProcessPoolExecutor(2)",
    "process_queue.py": None,
    "shared_value.py": None,
    "thread_pool.py": None,
    "threads.py": None,
}


class Gallery(harness.E2E):
    def run_(self, *words, **more):
        return self.pyhost("run", "--python", PYTHON, *words, **more)

    def test_every_script_is_listed_with_its_form_for_pyhost(self):
        found = sorted(path.name for path in GALLERY.glob("*.py"))

        self.assertEqual(found, sorted([*SCRIPTS, *(name.replace(".py", "_pyhost.py") for name in SCRIPTS)]))

    def test_each_says_the_same_under_python_under_pyhost_run_and_in_its_form_for_pyhost(self):
        for name, pool in SCRIPTS.items():
            with self.subTest(name):
                expected = self.run_program(PYTHON, GALLERY / name)
                self.assertEqual((expected.status, expected.err), (0, ""))

                script = self.run_(GALLERY / name)
                own = self.run_("-j2", GALLERY / name.replace(".py", "_pyhost.py"))
                verbose = self.run_("-v", GALLERY / name, "--image", "libpython")

                for result in (script, own, verbose):
                    self.assertEqual((result.status, result.out), (0, expected.out), result)
                self.assertEqual((script.err, own.err), ("", ""))
                self.assert_names(pool, name, verbose.err.splitlines())

    def assert_names(self, pool, script, lines):
        """With -v, one line for the pool that the script makes."""
        self.assertEqual(len(lines), 1 if pool else 0, lines)
        for line in lines:
            self.assert_says(line, f"pyhost: {pool} at ", f"{script}:", " runs on pyhost (", "2 workers)")

    def test_their_calls_run_in_pyhost_s_workers(self):
        """Which alone know the limits of `pyhost run`."""
        for name, pool in SCRIPTS.items():
            if pool:
                with self.subTest(name):
                    result = self.run_(GALLERY / name, "--timeout", "0.0001")

                    self.assert_status(result, 1)
                    self.assert_says(result.err, "TaskTimeout")


if __name__ == "__main__":
    harness.main()
