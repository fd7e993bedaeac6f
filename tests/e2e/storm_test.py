"""Workers are killed at random below a Python program and below `pyhost map`: what ran has a result,
what was lost is told, nothing ran twice, nothing is left."""

import collections
import json
import os
import pathlib
import random
import re
import signal
import threading

import harness

# Counts per submitted number how often it ran, and tells what became of each as JSON.
DRIVER = """
import json, os, sys
import pyhost

def note(path, number):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\\n" % number)
    os.close(file)
    return number

if __name__ == "__main__":
    path, count = sys.argv[1], int(sys.argv[2])
    with pyhost.Executor(max_workers=3) as executor:
        print("ready", executor.submit(note, path + ".warm", 0).result(), flush=True)
        futures = []
        told = []
        while len(futures) < count:
            for _ in range(500):
                futures.append(executor.submit(note, path, len(futures)))
                futures[-1].add_done_callback(lambda future, number=len(futures) - 1: told.append(number))
            for future in futures[-500:]:
                future.exception(timeout=60)
        outcomes = []
        for number, future in enumerate(futures):
            error = future.exception(timeout=60)
            outcomes.append(type(error).__name__ if error else future.result() == number)
    print(json.dumps({"outcomes": outcomes, "told": sorted(told) == list(range(count))}))
"""
SCRIPT = """
import os

def note(pair):
    path, number = pair
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\\n" % number)
    os.close(file)
    return number
"""


class Killer:
    """Kills processes below a program, of those that do not have others below them: its workers."""

    def __init__(self, process):
        self.process, self.kills = process, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.seed = int(os.environ.get("PYHOST_STORM_SEED", random.randrange(1 << 30)))

    def run(self):
        choice = random.Random(self.seed)
        while not self.over.wait(choice.random() * 0.03):
            below = harness.descendants(self.process.pid)
            parents = {(harness.stat_of(pid) or (0, 0, 0))[1] for pid in below}
            workers = sorted(pid for pid in below if pid not in parents)
            if len(workers) > 1:
                victim = choice.choice(workers)
                try:
                    os.kill(victim, signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Storm(harness.E2E):
    def ran(self, path):
        text = path.read_text() if path.exists() else ""
        return collections.Counter(int(line) for line in text.split())

    def test_every_future_of_a_driver_settles_once(self):
        path = self.folder / "ran"
        script = self.script(DRIVER)
        process = self.start(harness.PYHOST, "run", script, "--python", harness.PYTHON, "--", path, 4000)
        self.assertTrue(process.stdout.readline().startswith(b"ready"))
        with Killer(process) as killer:
            outcome = self.finish(process)
        self.assert_status(outcome, 0)
        report = json.loads(outcome.out.splitlines()[-1])
        ran = self.ran(path)
        self.assertTrue(report["told"], "a callback ran twice, or never")
        self.assertEqual(len(report["outcomes"]), 4000)
        self.assertGreater(killer.kills, 0)
        self.assertLessEqual(max(ran.values()), 1, f"ran twice; PYHOST_STORM_SEED={killer.seed}")
        lost = 0
        for number, what in enumerate(report["outcomes"]):
            if what is True:
                self.assertEqual(ran[number], 1, number)
            else:
                self.assertEqual(what, "WorkerCrashed", f"{number}; PYHOST_STORM_SEED={killer.seed}")
                lost += 1
        self.assertLessEqual(lost, killer.kills)

    def test_every_line_of_a_map_is_answered_once(self):
        path, count = self.folder / "ran", 30000
        script = self.script(SCRIPT)
        lines = "".join(json.dumps([str(path), number]) + "\n" for number in range(count))
        lines_file = pathlib.Path(self.folder / "in.jsonl")
        lines_file.write_text(lines)
        process = self.start(harness.PYHOST, "map", f"{script}:note", lines_file, "-j3", "--records",
                             "--python", harness.PYTHON)
        with Killer(process) as killer:
            outcome = self.finish(process)
        self.assertEqual(outcome.status, min(outcome.status, 101), outcome)
        records = [json.loads(line) for line in outcome.out.splitlines()]
        ran = self.ran(path)
        self.assertEqual([record["seq"] for record in records],
                         list(range(records[0]["seq"], records[0]["seq"] + count)))
        self.assertLessEqual(max(ran.values()), 1, f"ran twice; PYHOST_STORM_SEED={killer.seed}")
        failed = [record for record in records if not record["ok"]]
        for number, record in enumerate(records):
            if record["ok"]:
                self.assertEqual((record["result"], ran[number]), (number, 1))
            else:
                self.assertEqual(record["error"]["kind"], "crashed", f"PYHOST_STORM_SEED={killer.seed}")
        self.assertLessEqual(len(failed), killer.kills)
        self.assertEqual(outcome.status, min(len(failed), 101))
        self.assertFalse(re.search("Traceback", outcome.err), outcome.err[-2000:])


if __name__ == "__main__":
    harness.main()
