"""Functions that the tests of the pool call: some work, some do every wrong thing."""
import asyncio
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


def spin(*_):
    while True:
        pass


def hold_the_gil(*_):
    """A loop in C that never looks for signals."""
    return sum(range(10**15))


def shrug_off(seconds):
    """Goes on, whatever is raised in it, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            while time.monotonic() < end:
                time.sleep(0.001)
        except BaseException:
            pass
    return "done anyway"


def clean_up(path):
    """Writes a file when it is asked to stop."""
    try:
        never_return()
    finally:
        record(path, "cleaned up")


def exit_when_stopped():
    try:
        never_return()
    finally:
        os._exit(9)


def stop_self():
    os.kill(os.getpid(), signal.SIGSTOP)
    never_return()


def ignore_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold_the_gil()


def spread(path, depth):
    """A bounded bomb: every process below starts two more and writes its number."""
    record(path, os.getpid())
    for _ in range(2 if depth > 0 else 0):
        if os.fork() == 0:
            try:
                spread(path, depth - 1)
            finally:
                os._exit(0)
    never_return()


def wait_in_vfork(path):
    """Hangs in the kernel: its child opens a FIFO that nobody writes, before it runs a program."""
    os.mkfifo(path)
    opens = [(os.POSIX_SPAWN_OPEN, 0, path, os.O_RDONLY, 0)]
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=opens)


def hold_in_both(mebibytes):
    """Holds so much memory, that it wrote to, in itself and in a child."""
    os.fork()
    blocks = [os.urandom(1 << 20) for _ in range(mebibytes)]
    never_return(blocks)


def share_with_a_child(mebibytes, seconds):
    """Holds memory that a child has, too, but does not write to."""
    blocks = [os.urandom(1 << 20) for _ in range(mebibytes)]
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    del blocks
    return seconds


def crash():
    import ctypes

    ctypes.string_at(0)


def abort():
    os.abort()


def exit_with(code):
    os._exit(code)


def count_up(path):
    """How often it was called with this path, by any worker."""
    record(path, os.getpid())
    with open(path) as file:
        return len(file.readlines())


def fail_until(path, times):
    count = count_up(path)
    if count <= times:
        raise ConnectionResetError(f"attempt {count}")
    return count


def die_until(path, times):
    count = count_up(path)
    if count <= times:
        kill_self()
    return count


def hang_until(path, times):
    count = count_up(path)
    if count <= times:
        never_return()
    return count


def fail_until_large(path, times, text):
    return [fail_until(path, times), len(text)]


class Flaw(Exception):
    pass


class SmallFlaw(Flaw):
    pass


def raise_small_flaw(path):
    count_up(path)
    raise SmallFlaw("small")


def die_at_some(number):
    """Dies at a few of its numbers, half of the time."""
    if number % 60 == 7 and int.from_bytes(os.urandom(1), "little") < 128:
        kill_self()
    return number


async def wait_a_while(seconds):
    await asyncio.sleep(seconds)
    return seconds


def _is_here(folder, number):
    open(f"{folder}/{number}", "w").close()
    return number


def _is_missing(folder, count):
    return not all(os.path.exists(f"{folder}/{other}") for other in range(count))


async def meet(folder, number, count):
    """Returns once so many calls with numbers from 0 on run at the same time."""
    _is_here(folder, number)
    while _is_missing(folder, count):
        await asyncio.sleep(0.001)
    return number


def meet_in_threads(folder, number, count):
    _is_here(folder, number)
    while _is_missing(folder, count):
        time.sleep(0.001)
    return number


async def wait_for_ever(*_):
    while True:
        await asyncio.sleep(60)


def forge(codec):
    """Sends the host results of another codec than it asked for: a number that is no length."""
    import ctypes
    import struct

    with open("/proc/self/maps") as maps:
        base = next(int(line.split("-")[0], 16) for line in maps if "pyhost-replies" in line)
    head = ctypes.c_uint32.from_address(base + 64)
    item, batch = struct.unpack("<II", ctypes.string_at(base + 256, 8))
    record = struct.pack("<IHBBIIIIQQQHBBIQ", 80, 21, codec, 0, batch, 0, item - 1, item, 8, 0, 0, 0, 0, 0, 0, 1)
    record += struct.pack("<QQ", 0x7FFF_0000_0000, 0)
    ctypes.memmove(base + 4096 + head.value, record, len(record))
    head.value += len(record)
    for fd in os.listdir("/proc/self/fd"):
        try:
            if "eventfd" in os.readlink(f"/proc/self/fd/{fd}"):
                os.write(int(fd), struct.pack("<Q", 1))
        except OSError:
            pass
    never_return()


def want_memory(mebibytes):
    """Asks Python for more than it may have."""
    return len(bytearray(mebibytes << 20))


LEFT_OVER = []


def keep_and_want(kept, wanted):
    LEFT_OVER.extend(os.urandom(1 << 20) for _ in range(kept))
    return want_memory(wanted)
