"""The base of every end-to-end test: runs whole programs, and looks for what they leave behind.

After each test no process that descends from it may be alive, no entry may be new in /dev/shm,
and the test process itself may hold no descriptor it did not hold before. Orphans cannot hide:
the test process is their subreaper.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VICTIMS = ROOT / "tests/victims"
EXAMPLES = ROOT / "scripts/examples"
PYHOST = os.environ.get("PYHOST_BIN", str(ROOT / "build/dev/bin/pyhost"))
BUILD = pathlib.Path(os.environ.get("PYHOST_BUILD", PYHOST)).resolve() if "PYHOST_BUILD" in os.environ \
    else pathlib.Path(PYHOST).resolve().parents[1]
PYTHON = os.environ.get("PYHOST_PYTHON", "/usr/bin/python3")

# How long processes may take to be gone once the program that started them ended: they are killed
# and reaped asynchronously, and the machine may be busy.
GONE_WITHIN = float(os.environ.get("PYHOST_E2E_GONE_WITHIN", "2"))
PR_SET_CHILD_SUBREAPER = 36


class Outcome:
    """What a program did: its exit status (negative: the signal), its output, what it took."""

    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    def __repr__(self):
        return f"status {self.status} after {self.seconds:.2f} s\n--- stdout\n{self.out}--- stderr\n{self.err}---"


def stat_of(pid):
    """(state, parent, command) of a process, or None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    command = text[text.index("(") + 1:text.rindex(")")]
    state, parent = text[text.rindex(")") + 2:].split()[:2]
    return state, int(parent), command


def descendants(of=None):
    """Live processes below `of` (default: this one): {pid: command}. Zombies do not count."""
    below = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = stat_of(name)
            if stat:
                below.setdefault(stat[1], []).append((int(name), stat))
    found, queue = {}, [of or os.getpid()]
    while queue:
        for pid, (state, _, command) in below.get(queue.pop(), []):
            queue.append(pid)
            if state not in "ZX":
                found[pid] = command
    return found


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"


def wait_until(condition, seconds=10.0, what="a condition"):
    """Polls until `condition()` is true, and returns its value; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.005)


def open_descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: path for fd, path in found.items() if not path.startswith(f"/proc/{os.getpid()}/fd")}


def shared_memory():
    """What is in /dev/shm, but for what a living process put its number on: another test that runs meanwhile."""
    owners = {name: re.match(r"(?:sem\.loky-|joblib_memmapping_folder_)(\d+)", name) for name in os.listdir("/dev/shm")}
    return {name for name, owner in owners.items() if owner is None or not os.path.exists(f"/proc/{owner[1]}")}


def mapped_elsewhere(names):
    """Those of the entries in /dev/shm that a process has mapped which neither is this one nor descends from it; and
    those that are gone by now."""
    by_inode, found, ours = {}, set(names), {os.getpid(), *descendants()}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            by_inode[str(os.stat(f"/dev/shm/{name}").st_ino)] = name
            found.discard(name)
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            if pid not in ours:
                maps = pathlib.Path(f"/proc/{pid}/maps").read_text(errors="replace")
                # By inode, before the path: `sem_open` maps a semaphore before it gives it its name.
                inodes = {line.split()[4] for line in maps.split("\n") if " /dev/shm/" in line}
                found |= {by_inode[inode] for inode in inodes & by_inode.keys()}
    return found


def reap():
    """Collects orphans that ended and became ours; leaves the children of `subprocess` alone."""
    ours = {process.pid for process in E2E.running}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        stat = stat_of(pid)
        if stat and stat[1] == os.getpid() and stat[0] == "Z" and pid not in ours:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


class E2E(unittest.TestCase):
    """Owner of every process a test starts."""

    running = []

    @classmethod
    def setUpClass(cls):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")

    def setUp(self):
        self.shared_before = shared_memory()
        self.descriptors_before = open_descriptors()
        folder = tempfile.TemporaryDirectory(prefix="pyhost-e2e-")
        self.addCleanup(self.look_for_leftovers)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def look_for_leftovers(self):
        for process in list(E2E.running):
            process.kill()
            self.close(process)
        left = self.wait_for_no_descendants(GONE_WITHIN)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left:
            self.wait_for_no_descendants(GONE_WITHIN)
        self.assertEqual(left, {}, "processes outlived the test")
        self.assertEqual(self.wait_for_shared_memory(GONE_WITHIN), set(), "new entries in /dev/shm")
        self.assertEqual(self.wait_for_descriptors(GONE_WITHIN), {}, "descriptors left open")

    def wait_for_shared_memory(self, seconds):
        """Waits until nothing new is there (other programs have semaphores that come and go); returns what stays,
        but for what other programs have mapped."""
        deadline = time.monotonic() + seconds
        left = shared_memory() - self.shared_before
        while left and time.monotonic() < deadline:
            time.sleep(0.005)
            left &= shared_memory()
        return left - mapped_elsewhere(left) if left else left

    def wait_for_descriptors(self, seconds):
        """Waits until nothing new is open (a pool may end in the background); returns what is at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            left = {fd: name for fd, name in open_descriptors().items() if fd not in self.descriptors_before}
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.01)

    def wait_for_no_descendants(self, seconds):
        """Waits until no descendant is alive; returns those that are at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            reap()
            left = descendants()
            if not left or time.monotonic() > deadline:
                return {pid: command_line(pid) for pid in left}
            time.sleep(0.005)

    # -- running programs

    def start(self, *command, env=None, cwd=None, preexec=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
              stderr=subprocess.PIPE):
        """Starts a program with pipes; killed at the end of the test at the latest."""
        # Unbuffered: what a readline() took ahead would be missing from the communicate() that follows.
        process = subprocess.Popen([str(word) for word in command], stdin=stdin, stdout=stdout, stderr=stderr,
                                   bufsize=0, env={**os.environ, **(env or {})}, cwd=cwd or self.folder,
                                   preexec_fn=preexec)
        E2E.running.append(process)
        return process

    def close(self, process):
        """Waits for a program that ends now, and forgets it."""
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait(timeout=10)
        E2E.running.remove(process)

    def finish(self, process, input=None, timeout=60):
        """Feeds a started program and waits for its end; fails when that takes too long."""
        begin = time.monotonic()
        if isinstance(input, str):
            input = input.encode()
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            tree = {pid: command_line(pid) for pid in descendants(process.pid)}
            process.kill()
            out, err = process.communicate(timeout=10)
            E2E.running.remove(process)
            self.fail(f"{process.args} did not end within {timeout} s; below it ran {tree}\n"
                      f"--- stdout\n{(out or b'')[-2000:]}\n--- stderr\n{(err or b'')[-2000:]}")
        E2E.running.remove(process)
        return Outcome(process.returncode, (out or b"").decode(errors="backslashreplace"),
                       (err or b"").decode(errors="backslashreplace"), time.monotonic() - begin)

    def run_program(self, *command, input=None, timeout=60, **options):
        return self.finish(self.start(*command, **options), input, timeout)

    def pyhost(self, *arguments, **options):
        """Runs the command under test."""
        return self.run_program(PYHOST, *arguments, **options)

    def script(self, text, name="script.py"):
        """A script in the test's folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return path

    # -- judging

    def assert_status(self, outcome, status):
        if outcome.status != status:
            self.fail(f"exit status is not {status}: {outcome!r}")

    def assert_says(self, text, *parts):
        """Each part occurs in the text."""
        for part in parts:
            if part not in text:
                self.fail(f"`{part}` is not in:\n{text}")

    def assert_clean_error(self, outcome, *parts):
        """One clear error of ours: not a Python traceback of our own code, not a crash."""
        self.assertGreater(outcome.status, 0, outcome)
        self.assert_says(outcome.err, *parts)
        for trace in ("terminate called", "Assertion", "runtime/pyhost/", "lib/pyhost/python/pyhost"):
            self.assertNotIn(trace, outcome.err, outcome)


def main():
    """Runs the tests of the calling file; a missing command fails at once, and says so."""
    if not os.access(PYHOST, os.X_OK):
        sys.exit(f"no command to test at `{PYHOST}`; build it, or set PYHOST_BIN")
    unittest.main(verbosity=2)
