"""Workers, zygote, watcher and host die at any moment: one task fails, nothing hangs, nothing stays."""

import json
import os
import pathlib
import random
import signal
import threading
import time

import harness
from harness import PYTHON, VICTIMS, descendants

DEATHS = VICTIMS / "deaths.py"


def numbers(count):
    return "".join(f"{i}\n" for i in range(count))


def children(pid):
    return [child for child in descendants(pid) if (harness.stat_of(child) or (0, 0))[1] == pid]


def levels(host):
    """(watchers, zygotes, workers) below a host."""
    watchers = children(host)
    zygotes = [pid for watcher in watchers for pid in children(watcher)]
    return watchers, zygotes, [pid for zygote in zygotes for pid in children(zygote)]


class Crashes(harness.E2E):
    def map(self, function, count, *options, **more):
        return self.pyhost("map", f"{DEATHS}:{function}", "-j", "2", "--python", PYTHON, *options,
                           input=numbers(count), **more)

    def call(self, function, *arguments, **more):
        return self.pyhost("call", f"{DEATHS}:{function}", *arguments, "-j", "1", "--python", PYTHON, **more)

    def records(self, result):
        return [json.loads(line) for line in result.out.splitlines()]

    def test_a_worker_that_dies_costs_its_own_item_alone(self):
        result = self.map("die_on_seven", 100, "--records")

        self.assert_status(result, 10)
        records = self.records(result)
        self.assertEqual([record["seq"] for record in records], list(range(1, 101)))
        for x, record in enumerate(records):
            self.assertEqual(record["ok"], x % 10 != 7, record)
            if record["ok"]:
                self.assertEqual(record["result"], x)
            else:
                self.assertEqual(record["error"]["kind"], "crashed")
        self.assert_says(result.err, "SIGKILL", "die_on_seven")

    def test_leaving_quietly_is_never_a_success(self):
        result = self.call("leave_quietly", "1")

        self.assert_status(result, 1)
        self.assertEqual(result.out, "")
        self.assert_says(result.err, "exit", "leave_quietly")

    def test_the_signal_that_killed_a_worker_is_named(self):
        for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGABRT, "SIGABRT"), (signal.SIGKILL, "SIGKILL")):
            with self.subTest(name):
                result = self.call("die_by", int(number))

                self.assert_status(result, 1)
                self.assert_says(result.err, name)
        result = self.call("segfault", "1")
        self.assert_status(result, 1)
        self.assert_says(result.err, "SIGSEGV")

    def test_a_task_that_never_ends_is_killed_alone(self):
        result = self.map("never_return_for_five", 20, "--records", "--timeout", "0.5")

        self.assert_status(result, 1)
        records = self.records(result)
        self.assertEqual([record["seq"] for record in records if not record["ok"]], [6])
        self.assertEqual(records[5]["error"]["kind"], "timeout")
        self.assertLess(result.seconds, 10)

    def test_workers_that_die_at_once_become_one_error_and_no_busy_loop(self):
        result = self.pyhost("call", f"{VICTIMS}/dies_in_fork.py:fine", "1", "-j", "2", "--python", PYTHON, timeout=30)

        self.assertIn(result.status, (1, 255), result)
        self.assertEqual(result.out, "")
        self.assert_says(result.err, "worker", "3")

    def test_only_claimed_items_fail_in_a_storm_of_kills(self):
        count, seed = 4000, int.from_bytes(os.urandom(4), "big")
        chance = random.Random(seed)
        process = self.start(harness.PYHOST, "map", f"{DEATHS}:sleep_ms", "-j", "2", "--records", "--python", PYTHON)
        killed = []

        def storm():
            # Any moment of a worker's life: just forked, loading, idle, working, already dying.
            while process.poll() is None and len(killed) < 60:
                workers = levels(process.pid)[2]
                if workers:
                    victim = chance.choice(workers)
                    try:
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)
                    except ProcessLookupError:
                        pass
                time.sleep(chance.random() * 0.02)

        thread = threading.Thread(target=storm)
        thread.start()
        result = self.finish(process, numbers(count), timeout=90)
        thread.join()

        records = self.records(result)
        self.assertEqual([record["seq"] for record in records], list(range(1, count + 1)), f"seed {seed}")
        failed = [record for record in records if not record["ok"]]
        self.assertGreater(len(killed), 5, f"seed {seed}")
        self.assertLessEqual(len(failed), len(killed), f"seed {seed}")
        self.assert_status(result, min(len(failed), 101))
        for record in records:
            if record["ok"]:
                self.assertEqual(record["result"], record["seq"] - 1, f"seed {seed}")
            else:
                self.assertEqual(record["error"]["kind"], "crashed", f"seed {seed}")

    def test_the_map_goes_on_when_zygote_or_watcher_is_killed(self):
        for level, name in ((1, "zygote"), (0, "watcher")):
            with self.subTest(name):
                process = self.start(harness.PYHOST, "map", f"{DEATHS}:sleep_ms", "-j", "2", "--records",
                                     "--python", PYTHON)
                process.stdin.write(numbers(500).encode())
                process.stdin.flush()
                process.stdout.readline()
                victim = levels(process.pid)[level][0]
                os.kill(victim, signal.SIGKILL)

                result = self.finish(process, timeout=30)

                rest = self.records(result)
                self.assertEqual([record["seq"] for record in rest], list(range(2, 501)), result.err)
                failed = [record for record in rest if not record["ok"]]
                self.assert_status(result, len(failed))
                self.assertLessEqual(len(failed), 2, "more than the items two workers had claimed")
                for record in failed:
                    self.assertEqual(record["error"]["kind"], "crashed")
                self.assertNotEqual(result.err, "")

    def running_in(self, count):
        """Waits until `count` calls of leave_children run in the test's folder."""
        harness.wait_until(lambda: len(list(self.folder.glob("running-*"))) >= count, 20, "running calls")

    def assert_gone_within_a_second(self, process):
        self.assertGreaterEqual(len(descendants()), 5)
        process.kill()
        process.wait()
        begin = time.monotonic()
        left = self.wait_for_no_descendants(1.0)
        self.assertEqual(left, {}, f"alive {time.monotonic() - begin:.2f} s after the host was killed")
        self.finish(process)

    def test_nothing_survives_a_killed_host(self):
        process = self.start(harness.PYHOST, "map", f"{DEATHS}:leave_children", "-j", "2", "--python", PYTHON)
        process.stdin.write(f'"{self.folder}"\n"{self.folder}"\n'.encode())
        process.stdin.flush()
        self.running_in(2)

        self.assert_gone_within_a_second(process)

    def test_nothing_survives_a_killed_run(self):
        script = self.script(f"import sys, pyhost\nsys.path.insert(0, {str(VICTIMS)!r})\n"
                             "import deaths\nlist(pyhost.map(deaths.leave_children, [sys.argv[1]] * 2))\n")
        for image in ("libpython", "executable"):
            with self.subTest(image):
                for old in self.folder.glob("running-*"):
                    old.unlink()
                process = self.start(harness.PYHOST, "run", script, "-j", "2", "--python", PYTHON, "--image", image,
                                     "--", self.folder)
                self.running_in(2)

                self.assert_gone_within_a_second(process)

    def test_children_of_a_worker_end_with_the_pool(self):
        result = self.pyhost("call", f"{DEATHS}:leave_children", json.dumps(str(self.folder)), "--timeout", "1",
                             "--python", PYTHON)

        self.assert_status(result, 1)
        self.assertEqual(self.wait_for_no_descendants(1.0), {})


class Signals(harness.E2E):
    def test_the_first_signal_ends_the_map_with_one_line(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number.name):
                process = self.start(harness.PYHOST, "map", f"{DEATHS}:sleep_ms", "-j", "2", "--python", PYTHON)
                process.stdin.write(numbers(3000).encode())
                process.stdin.flush()
                process.stdout.readline()
                process.send_signal(number)

                result = self.finish(process, timeout=20)

                self.assert_status(result, status)
                self.assertNotIn("Traceback", result.err)
                self.assertLessEqual(len(result.err.splitlines()), 2, result)

    def is_pending(self, pid, number):
        """Whether a signal was sent to the process and not taken yet."""
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        pending = [line for line in status.splitlines() if line.startswith("ShdPnd:")][0]
        return int(pending.split()[1], 16) >> (number - 1) & 1

    def test_the_second_signal_kills_what_runs(self):
        process = self.start(harness.PYHOST, "map", f"{DEATHS}:leave_children", "-j", "2", "--python", PYTHON)
        process.stdin.write(f'"{self.folder}"\n'.encode())
        process.stdin.flush()
        harness.wait_until(lambda: list(self.folder.glob("running-*")), 20, "a running call")
        process.send_signal(signal.SIGINT)
        harness.wait_until(lambda: not self.is_pending(process.pid, signal.SIGINT), 10, "the first signal's arrival")
        process.send_signal(signal.SIGINT)

        result = self.finish(process, timeout=10)

        self.assert_status(result, 130)


if __name__ == "__main__":
    harness.main()
