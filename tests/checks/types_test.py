"""What mypy says of typed code that uses pyhost: the types it sees, and the mistakes it finds.

tests/typing/user_code.py is checked as strictly as mypy can. A line with a mistake ends with `# error: ` and how the
message begins; mypy must complain about these lines, so, and about no other.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPING = ROOT / "tests/typing"


def complaints(config, path):
    """{line: messages} of mypy about one file."""
    with tempfile.TemporaryDirectory() as cache:
        command = ["mypy", "--config-file", TYPING / config, "--cache-dir", cache, "--hide-error-codes",
                   "--no-error-summary", path]
        outcome = subprocess.run(command, env={**os.environ, "MYPYPATH": str(ROOT / "runtime")}, cwd=ROOT,
                                 capture_output=True, text=True)
    found = {}
    for line in (outcome.stdout + outcome.stderr).splitlines():
        match = re.fullmatch(rf"{re.escape(str(path.relative_to(ROOT)))}:(\d+): error: (.*)", line)
        if match:
            found.setdefault(int(match[1]), []).append(match[2])
        elif ": note: " not in line:
            raise AssertionError(f"mypy says {line!r}")
    return found


@unittest.skipUnless(shutil.which("mypy"), "no mypy")
class Types(unittest.TestCase):
    def test_users_see_the_types_of_their_functions_and_are_told_their_mistakes(self):
        path = TYPING / "user_code.py"
        expected = {number: line.partition("# error: ")[2] for number, line
                    in enumerate(path.read_text().splitlines(), 1) if "# error: " in line}

        found = complaints("mypy.ini", path)

        self.assertGreater(len(expected), 6)
        self.assertEqual({number: found[number] for number in found.keys() - expected.keys()}, {})
        for number, message in expected.items():
            self.assertTrue(any(said.startswith(message) for said in found.get(number, [])),
                            f"line {number}: expected {message!r}, found {found.get(number)}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
