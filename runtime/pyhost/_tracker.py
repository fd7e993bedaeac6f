"""One resource tracker of multiprocessing for a driver and all its workers, whoever needs it first.

    worker: no tracker yet --mark "?" address--> its stderr --> courier thread of the driver --> `answer`
            listens there  <---------------- the descriptor of the driver's tracker, started now if there is none

Memory that a worker makes would else be unlinked by a tracker of that worker's own, which ends with it. A driver whose
tracker runs as its workers start hands it down without being asked (`_inheritance`). What no process needs is not
started.
"""

import os
import sys
import threading

from pyhost._core import core

# Seconds until a worker that gets no answer starts a tracker of its own: its driver may be stopped. Less, and a loaded
# machine does not make it; more, and such a worker hangs for longer.
_PATIENCE = 10.0

_PREFIX = "pyhost-tracker-"

_lock = threading.RLock()  # a garbage collection may need the tracker, too


def share(module, mark_and_driver):
    """Has this process ask for a tracker, before it starts one.

    module: multiprocessing.resource_tracker
    mark_and_driver: what returns the mark of records for the driver, and its pid; None where there is nobody to ask
    """
    tracker = module._resource_tracker
    for name in ("ensure_running", "_ensure_running_and_write"):  # those of 3.14 write without the first
        start = getattr(tracker, name, None)
        if start is not None and not hasattr(start, "asks"):
            setattr(tracker, name, _asking(tracker, start, mark_and_driver))
    module.ensure_running = tracker.ensure_running


def _asking(tracker, start, mark_and_driver):
    def ask_and_start(*args):
        if tracker._fd is None:
            with _lock:
                if tracker._fd is None:
                    whom = mark_and_driver()
                    tracker._fd = _ask(*whom) if whom is not None else None
        return start(*args)

    ask_and_start.asks = True
    return ask_and_start


def _ask(mark, driver):
    """The descriptor, or None when nobody answers."""
    import socket
    import struct
    address = f"{_PREFIX}{os.getpid()}-{os.urandom(16).hex()}"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("\0" + address)
            listener.listen(1)
            listener.settimeout(_PATIENCE)
            if not core.write_record(f"{mark}?{address}\n".encode()):
                return None
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(_PATIENCE)
                peer = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                if peer[0] != driver:
                    return None
                _, found, _, _ = socket.recv_fds(connection, 1, 1)
    except OSError:
        return None
    for fd in found:
        os.set_inheritable(fd, False)
    return found[0] if found else None


def answer(address):
    """Sends the driver's tracker to the worker that listens there."""
    if not address.startswith(_PREFIX):
        return
    import signal
    import socket
    from multiprocessing import resource_tracker
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        tracker = resource_tracker.getfd()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # starting it lets Ctrl-C through to this thread
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect("\0" + address)
            socket.send_fds(connection, [b"t"], [tracker])
    except OSError:  # the worker has ended, or was interrupted
        pass


def running():
    """The descriptor of this process's tracker; None when there is none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    if module is None or module._resource_tracker._fd is None:
        return None
    return module.getfd()


def _forget():
    """In a forked process: what holds the locks may be another thread, such as the one that runs `answer`."""
    global _lock
    _lock = threading.RLock()
    lock = getattr(getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None), "_lock", None)
    if lock is not None:
        lock._at_fork_reinit()


os.register_at_fork(after_in_child=_forget)
