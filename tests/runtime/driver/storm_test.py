"""Workers killed under load: every call settles once, and runs again only if that was asked for."""

import collections
import os
import random
import signal
import threading
import time
import unittest

from driver_case import WithExecutor, for_each_start, pyhost

CALLS = 100


def note(path, value):
    """Leaves a line for each time it runs."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"%d\n" % value)
    os.close(file)
    time.sleep(0.001)
    return value


@for_each_start
class Storms(WithExecutor):
    def setUp(self):
        super().setUp()
        self.path = str(self.folder / "runs")
        self.over = threading.Event()
        self.killer = threading.Thread(target=self.kill_workers, daemon=True)
        self.addCleanup(self.killer.join)
        self.addCleanup(self.over.set)

    def kill_workers(self):
        """Kills one after every few calls, however long those take."""
        choose = random.Random(7)
        settled = 0
        while not self.over.wait(0.002):
            stats = self.executor._engine.stats()
            pids = stats.get("pids")
            if pids and stats["settled"] >= settled + 4:
                settled = stats["settled"]
                try:
                    os.kill(choose.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def runs(self):
        with open(self.path) as file:
            return collections.Counter(int(line) for line in file)

    def test_calls_with_retries_all_succeed(self):
        limited = self.executor.options(retries=1000, retry_on="crashed")
        futures = [limited.submit(note, self.path, i) for i in range(CALLS)]
        self.killer.start()

        self.assertEqual([future.result(timeout=120) for future in futures], list(range(CALLS)))
        self.assertEqual(set(self.runs()), set(range(CALLS)))

    def test_a_map_with_retries_keeps_its_order(self):
        self.executor.submit(note, self.path, 0).result(timeout=30)
        self.killer.start()
        results = self.executor.options(retries=1000, retry_on="crashed").map(
            note, [self.path] * CALLS, range(CALLS))

        self.assertEqual(list(results), list(range(CALLS)))

    def test_calls_without_retries_run_once_at_most(self):
        futures = [self.executor.submit(note, self.path, i) for i in range(CALLS)]
        self.killer.start()
        errors = [future.exception(timeout=120) for future in futures]
        runs = self.runs()

        self.assertLessEqual(max(runs.values()), 1)
        for value, error in enumerate(errors):
            if error is None:
                self.assertEqual((futures[value].result(), runs[value]), (value, 1))
            else:
                self.assertIs(type(error), pyhost.WorkerCrashed)
                self.assertEqual(error.attempts, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
