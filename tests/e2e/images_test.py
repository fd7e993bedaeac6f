"""Both interpreter images run the same programs with the same results."""

import json

import harness
from harness import EXAMPLES, PYTHON

WHO = """
import sys
def who(_):
    return [sys.executable, sys.version_info[:3], sys.prefix]
def libpython_mapped(_):
    with open("/proc/self/maps") as maps:
        return "libpython" in maps.read()
"""


class Images(harness.E2E):
    def pyhost_with(self, image, command, target, *arguments, **options):
        return self.pyhost(command, target, "--python", PYTHON, "--image", image, *arguments, **options)

    def test_the_image_that_was_asked_for_is_used(self):
        script = self.script(WHO)
        for image in ("libpython", "executable"):
            with self.subTest(image):
                result = self.pyhost_with(image, "call", f"{script}:libpython_mapped", "0")

                self.assert_status(result, 0)
                self.assertEqual(json.loads(result.out), image == "libpython")

    def test_both_images_are_the_same_python(self):
        script = self.script(WHO)
        results = [self.pyhost_with(image, "call", f"{script}:who", "0") for image in ("libpython", "executable")]
        reference = self.run_program(PYTHON, "-c", f"{WHO}\nimport json; print(json.dumps(who(0)))")

        for result in results:
            self.assert_status(result, 0)
            self.assertEqual(json.loads(result.out), json.loads(reference.out))

    def test_a_venv_is_found_on_both_images(self):
        venv = self.folder / "venv"
        self.assert_status(self.run_program(PYTHON, "-m", "venv", "--without-pip", venv), 0)
        script = self.script(WHO)
        for image in ("libpython", "executable"):
            for which in (venv, venv / "bin/python"):
                with self.subTest(image=image, which=which):
                    result = self.pyhost("call", f"{script}:who", "0", "--python", which, "--image", image)

                    self.assert_status(result, 0)
                    executable, _, prefix = json.loads(result.out)
                    self.assertEqual(prefix, str(venv))
                    self.assertTrue(executable.startswith(str(venv)), executable)

    def test_map_keeps_order_on_both_images(self):
        numbers = "".join(f"{i}\n" for i in range(5000))
        outputs = []
        for image in ("libpython", "executable"):
            result = self.pyhost_with(image, "map", f"{EXAMPLES}/primes.py:is_prime", "-j", "2", input=numbers)
            self.assert_status(result, 0)
            outputs.append(result.out)

        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(outputs[0].count("true"), 669)

    def test_run_is_the_script_on_both_images(self):
        script = self.script("import sys, pyhost\n"
                             "def double(x): return 2 * x\n"
                             "print(__name__, sys.argv[1:], sum(pyhost.map(double, range(100))))\n"
                             "sys.exit(3)\n")
        for image in ("libpython", "executable"):
            with self.subTest(image):
                result = self.pyhost_with(image, "run", script, "--workers", "2", "--", "a", "--b")

                self.assert_status(result, 3)
                self.assertEqual(result.out, "__main__ ['a', '--b'] 9900\n")
                self.assertEqual(result.err, "")


if __name__ == "__main__":
    harness.main()
