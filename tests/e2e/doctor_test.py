"""`pyhost doctor`: says what is there, and tries it."""

import json

import harness
from harness import PYTHON


class Doctor(harness.E2E):
    def test_a_machine_that_can_run_a_pool_passes_on_each_image(self):
        result = self.pyhost("doctor", "--python", PYTHON)

        self.assert_status(result, 0)
        self.assertEqual(result.err, "")
        self.assert_says(result.out, "CPython 3.", PYTHON, "default worker count", "memfd_create", "open files",
                         "image `executable`: started in", "image `libpython`: started in")

    def test_json_has_a_row_per_finding(self):
        rows = json.loads(self.pyhost("doctor", "--json", "--python", PYTHON).out)

        self.assertEqual({row["area"] for row in rows}, {"python", "cpus", "memory", "kernel", "limits", "self-test"})
        self.assertTrue(all(row["state"] in ("ok", "note", "missing") for row in rows))

    def test_an_interpreter_that_is_not_there_is_missing_with_a_remedy(self):
        result = self.pyhost("doctor", "--json", "--python", "/no/such/python")

        self.assert_status(result, 1)
        missing = [row for row in json.loads(result.out) if row["state"] == "missing"]
        self.assert_says(missing[0]["what"], "/no/such/python")
        self.assertEqual(missing[-1]["area"], "self-test")

    def test_a_few_descriptors_are_noted_with_what_to_do(self):
        import resource
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

        result = self.pyhost("doctor", "--python", PYTHON, preexec=few)

        self.assert_status(result, 0)
        self.assert_says(result.out, "note     open files: 200", "ulimit -n")

    def test_words_it_does_not_know_are_refused(self):
        self.assert_status(self.pyhost("doctor", "all"), 2)


if __name__ == "__main__":
    harness.main()
