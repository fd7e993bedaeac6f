"""An installed pyhost works from where it was installed, and applications can be built with it."""

import os
import shutil
import subprocess

import harness
from harness import EXAMPLES, PYTHON, ROOT

RECORDS = ('{"name": "ada", "orders": [{"days_ago": 10}, {"days_ago": 200}]}\n'
           '{"name": "bob", "orders": []}\n'
           '{"name": "eve"}\n')


class Installed(harness.E2E):
    def setUp(self):
        super().setUp()
        self.prefix = self.folder / "prefix"
        subprocess.run(["cmake", "--install", harness.BUILD, "--prefix", self.prefix], check=True,
                       stdout=subprocess.DEVNULL)
        # The build tree must not be what makes it work.
        self.env = {"PYHOST_RUNTIME_DIR": "", "XDG_CACHE_HOME": str(self.folder / "cache")}

    def assert_scores(self, *command, env=None):
        result = self.run_program(*command, EXAMPLES / "scorer.py", input=RECORDS, env={**self.env, **(env or {})})

        self.assert_status(result, 0)
        ada, bob, eve = result.out.splitlines()
        self.assertEqual((ada, bob), ("ada: 0.375000", "bob: 0.000000"))
        self.assert_says(eve, "KeyError", "orders")

    def test_the_command_runs_from_the_prefix(self):
        result = self.run_program(self.prefix / "bin/pyhost", "map", f"{EXAMPLES}/primes.py:is_prime", "-j", "2",
                                  "--python", PYTHON, input="1\n2\n3\n4\n", env=self.env)

        self.assert_status(result, 0)
        self.assertEqual(result.out.split(), ["false", "true", "true", "false"])

    def test_a_moved_installation_still_works(self):
        moved = self.folder / "elsewhere"
        shutil.move(self.prefix, moved)

        result = self.run_program(moved / "bin/pyhost", "call", f"{EXAMPLES}/primes.py:is_prime", "7",
                                  "--python", PYTHON, env=self.env)

        self.assert_status(result, 0)
        self.assertEqual(result.out, "true\n")

    def test_an_application_is_built_with_find_package(self):
        build = self.folder / "build"
        for command in (["cmake", "-S", ROOT / "tests/consumer", "-B", build, "-G", "Ninja",
                         f"-DCMAKE_PREFIX_PATH={self.prefix}"], ["cmake", "--build", build]):
            result = self.run_program(*command)
            self.assert_status(result, 0)

        self.assert_scores(build / "score_records")
        linked = subprocess.run(["ldd", build / "score_records"], check=True, capture_output=True, text=True).stdout
        self.assertIn(str(self.prefix), linked)
        self.assertNotIn("python", linked)

    def test_an_application_is_built_with_pkg_config(self):
        env = {"PKG_CONFIG_PATH": ":".join(str(path.parent) for path in self.prefix.rglob("pyhost.pc"))}
        asked = ["pkg-config", f"--define-variable=prefix={self.prefix}", "--cflags", "--libs", "pyhost"]
        flags = subprocess.run(asked, check=True, capture_output=True, text=True,
                               env={**os.environ, **env}).stdout.split()
        program = self.folder / "score_records"
        result = self.run_program("g++", "-o", program, EXAMPLES / "score_records.cc", *flags)
        self.assert_status(result, 0)

        library = next(self.prefix.rglob("libpyhost.so")).parent
        self.assert_scores(program, env={"LD_LIBRARY_PATH": str(library)})


if __name__ == "__main__":
    harness.main()
