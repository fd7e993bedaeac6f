"""What the README and the pages in docs/ show works: their examples, with their input, on both images."""

import json
import re
import sys

import harness
from harness import EXAMPLES, PYTHON, ROOT

sys.path.insert(0, str(EXAMPLES))
import primes  # noqa: E402
import stdlib_census  # noqa: E402

SCORE_RECORDS = harness.BUILD / "bin/score_records"


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def commands(page):
    """The lines that begin with `$ ` in the fenced blocks of a page, without the first word."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Census(harness.E2E):
    def test_run_equals_the_serial_result_on_both_images(self):
        for image in ("libpython", "executable"):
            with self.subTest(image):
                result = self.pyhost("run", EXAMPLES / "stdlib_census.py", "--workers", "2", "--image", image,
                                     "--python", PYTHON, timeout=100)

                self.assert_status(result, 0)
                self.assert_says(result.out, "longest function: ", "equal to the serial result")
                self.assertEqual(result.err, "")

    def test_map_over_paths_gives_one_record_per_file_in_order(self):
        files = stdlib_census.library_files()
        paths = "".join(json.dumps(path) + "\n" for path in files)

        result = self.pyhost("map", f"{EXAMPLES}/stdlib_census.py:census", "-j", "2", "--python", PYTHON,
                             input=paths, timeout=100)

        self.assert_status(result, 0)
        records = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([record["path"] for record in records], files)
        sample = range(0, len(files), 50)
        self.assertEqual([records[i] for i in sample],
                         [json.loads(json.dumps(stdlib_census.census(files[i]))) for i in sample])


class Primes(harness.E2E):
    def test_map_over_a_hundred_thousand_numbers(self):
        numbers = "".join(f"{i}\n" for i in range(1, 100_001))

        result = self.pyhost("map", f"{EXAMPLES}/primes.py:is_prime", "-j2", "--python", PYTHON, input=numbers)

        self.assert_status(result, 0)
        expected = ["true" if primes.is_prime(i) else "false" for i in range(1, 100_001)]
        self.assertEqual(result.out.split("\n")[:-1], expected)


class Pages(harness.E2E):
    def test_four_ways_find_the_same_pages(self):
        for image in ("libpython", "executable"):
            with self.subTest(image):
                result = self.pyhost("run", EXAMPLES / "fetch_pages.py", "--python", PYTHON, "--image", image, "--",
                                     "--pages", "120", "--workers", "2", "--at-once", "10", "--latency", "0.01")

                self.assert_status(result, 0)
                self.assert_says(result.out, "2 workers, 10 coroutines each", "2 workers, 10 threads each",
                                 "asyncio alone, 20 coroutines", "ThreadPoolExecutor, 20 threads",
                                 "all found the same pages")
                self.assertEqual(result.err, "")

    def test_map_fetches_them_with_coroutines_and_with_threads(self):
        server = self.start(PYTHON, EXAMPLES / "fetch_pages.py", "--serve", "--latency", "0.01")
        port = int(server.stdout.readline())
        urls = [f"http://127.0.0.1:{port}/page/{number}" for number in range(60)]
        for function in ("fetch", "fetch_blocking"):
            with self.subTest(function):
                result = self.pyhost("map", f"{EXAMPLES}/fetch_pages.py:{function}", "-j2", "--concurrency", "10",
                                     "--python", PYTHON, input="".join(json.dumps(url) + "\n" for url in urls))

                self.assert_status(result, 0)
                pages = [json.loads(line) for line in result.out.splitlines()]
                self.assertEqual([page["url"] for page in pages], urls)
                self.assertEqual(pages[7]["title"], "Page /page/7")
        self.assert_status(self.finish(server), 0)


class Scores(harness.E2E):
    def test_a_cpp_program_scores_records(self):
        records = '{"name": "ada", "orders": [{"days_ago": 1}]}\n{"name": "eve", "orders": 5}\n'

        result = self.run_program(SCORE_RECORDS, EXAMPLES / "scorer.py", input=records)

        self.assert_status(result, 0)
        self.assert_says(result.out, "ada: 0.5", "eve: TypeError")


class Documents(harness.E2E):
    def test_their_commands_do_what_they_say(self):
        """All but those that set up and build, which is how this test came to run."""
        shown = [command for page in PAGES for command in commands(page)]
        shown = [command for command in shown if not re.match(r"(scripts/|git |cd )", command)]
        self.assertGreaterEqual(len(shown), 3)
        for command in shown:
            with self.subTest(command):
                command = command.replace("build/release", str(harness.BUILD))

                result = self.run_program("bash", "-o", "pipefail", "-ec", command, cwd=ROOT, timeout=100)

                self.assert_status(result, 0)

    def test_the_first_command_builds_and_runs_the_census(self):
        first = commands(ROOT / "README.md")[0]

        self.assertRegex(first, r"^scripts/build && build/release/bin/pyhost run scripts/examples/stdlib_census\.py")

    def test_the_architecture_names_every_module_and_every_file_of_the_scheduler(self):
        text = (ROOT / "docs/architecture.md").read_text()
        named = set(re.findall(r"`(\w+)`", text[:text.index("## Data flow")]))
        for folder, pattern in ("runtime/pyhost", "[!_]*.py"), ("runtime/pyhost", "_[!_]*.py"), ("host/pool", "*.cc"):
            there = {path.stem for path in (ROOT / folder).glob(pattern)}
            self.assertEqual(there - named, set(), folder)

    def test_their_links_lead_somewhere(self):
        links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
        self.assertGreaterEqual(len(links), 10)
        for page, link in links:
            self.assertTrue((page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}")


if __name__ == "__main__":
    harness.main()
