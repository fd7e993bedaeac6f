"""Functions that the tests of the pool call: some work, some do every wrong thing."""
import os
import signal
import sys
import time

MARK = os.getpid()


def square(x):
    return x * x


def add(a, b=0, *, weight=1):
    return (a + b) * weight


def echo(value):
    return value


def pid():
    return os.getpid()


def kill_self(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_zero():
    os._exit(0)


def never_return(*_):
    while True:
        time.sleep(60)


def nap(seconds):
    time.sleep(seconds)
    return seconds


def fail(message):
    raise ValueError(message)


def fail_with_cause():
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("no such thing") from error


def big_integer():
    return 2**70


def whole_float():
    return 1.0


def half_float():
    return 0.5


def a_set():
    return {1, 2}


def text(size):
    return "x" * size


def record(path, line):
    """Appends a line to a file in one write: what ran, seen from outside."""
    with open(path, "a") as file:
        file.write(f"{line}\n")
    return line


def record_or_die(arguments):
    path, line, doomed = arguments
    record(path, line)
    if doomed:
        kill_self()
    return line


def long_one(arguments):
    """Item 0 waits for the file that item `last` makes; on one worker that would never come."""
    path, item, last = arguments
    if item == last:
        open(path, "w").close()
    if item == 0:
        deadline = time.monotonic() + 20
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise TimeoutError("the followers of a long item never ran")
            time.sleep(0.001)
    return item


def complain(line):
    print(line, file=sys.stderr)
    kill_self()


def scribble(offset, size):
    """Overwrites a part of the memory in which this worker talks to the host."""
    import ctypes

    with open("/proc/self/maps") as maps:
        shared = [line.split() for line in maps if "rw-s" in line and "memfd:" in line]
    for fields in shared:
        ctypes.memset(int(fields[0].split("-")[0], 16) + offset, 0xFF, size)
    never_return()


def record_pid(path):
    return record(path, os.getpid())


def wait_for_file(path):
    deadline = time.monotonic() + 20
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError("nobody made " + path)
        time.sleep(0.001)
    return path


def note_at_exit(path):
    import atexit

    atexit.register(lambda: open(path, "w").close())
    return 0


kept = []


def keep(size):
    kept.append(b"x" * size)
    return os.getpid()


def pass_through(size):
    return len(b"x" * size)


prepared = False


def prepare():
    global prepared
    prepared = True


def is_prepared():
    return prepared


def refuse_to_prepare():
    raise ValueError("no database")


def fail_once():
    path = os.environ["PYHOST_TEST_FAIL_ONCE"]
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("not yet")


def announce_and_wait(path):
    open(path, "w").close()
    never_return()

