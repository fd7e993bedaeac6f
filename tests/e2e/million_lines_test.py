"""A million lines go through `pyhost map` in order, and the host's memory does not grow with them."""

import contextlib
import pathlib
import threading
import time

import harness
from harness import PYTHON

SCRIPT = "def echo(x):\n    return x\n"


def peak_mib(pid):
    """The most memory this process had resident, in MiB, or None when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    anonymous = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(anonymous[0].split()[1]) / 1024 if anonymous else None


class MillionLines(harness.E2E):
    def feed_and_check(self, count):
        """Streams the numbers below `count` through `pyhost map`; the highest anonymous memory of the host."""
        process = self.start(harness.PYHOST, "map", f"{self.script(SCRIPT)}:echo", "-j", "2", "--python", PYTHON)
        step = 10_000

        def feed():
            for begin in range(0, count, step):
                process.stdin.write(b"".join(b"%d\n" % i for i in range(begin, begin + step)))
            process.stdin.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        peak = 0
        for i, line in enumerate(process.stdout):
            if line != b"%d\n" % i:
                self.fail(f"line {i} is {line!r}")
            if i % step == 0:
                peak = max(peak, peak_mib(process.pid) or 0)
        feeder.join()
        self.assertEqual(i + 1, count)
        process.stdin = None
        self.assert_status(self.finish(process), 0)
        return peak

    def test_memory_is_flat_and_order_is_kept(self):
        little = self.feed_and_check(100_000)
        much = self.feed_and_check(1_000_000)

        self.assertLess(much, little + 16)

    def test_a_reader_that_stands_still_holds_the_input_back(self):
        process = self.start(harness.PYHOST, "map", f"{self.script(SCRIPT)}:echo", "-j", "2", "--python", PYTHON)
        block = b'"' + b"x" * 998 + b'"\n'
        taken = 0

        def feed():
            nonlocal taken
            try:
                for _ in range(200_000):
                    process.stdin.write(block)
                    taken += 1
            except (BrokenPipeError, ValueError):
                pass

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        process.stdout.readline()  # it works, and from here on nobody reads
        seen, since = -1, time.monotonic()

        def stands_still():
            nonlocal seen, since
            if taken != seen:
                seen, since = taken, time.monotonic()
            return taken and time.monotonic() - since > 1

        harness.wait_until(stands_still, 30, "the end of reading ahead")

        self.assertLess(taken, 150_000, "200 MB of input were read ahead of a reader that stands still")
        process.kill()
        feeder.join(10)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None
        self.finish(process)


if __name__ == "__main__":
    harness.main()
