"""Functions that die, hang or leave something behind."""

import os
import signal
import subprocess
import time


def fine(x):
    return x


def die_on_seven(x):
    """Kills its own process by SIGKILL for 7, 17, 27, ..."""
    if x % 10 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def leave_quietly(x):
    """Ends its process as if all were well."""
    os._exit(0)


def die_by(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def segfault(x):
    import ctypes
    ctypes.string_at(0)


def never_return(x):
    while True:
        pass


def never_return_for_five(x):
    while x == 5:
        pass
    return x


def sleep_ms(x):
    time.sleep(0.001)
    return x


def leave_children(folder):
    """Leaves processes in other sessions, the way daemons do; tells that it runs; never returns."""
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sh -c 'sleep 600 & sleep 600' >/dev/null 2>&1 &"], check=True)
    with open(os.path.join(folder, f"running-{os.getpid()}"), "w"):
        pass
    while True:
        time.sleep(60)
