"""A script that starts a thread when it is imported: forked copies of it would lack the thread."""
import os
import threading

_forever = threading.Event()
_thread = threading.Thread(target=_forever.wait, daemon=True)
_thread.start()


def has_thread(_):
    return _thread.is_alive() and len(os.listdir("/proc/self/task")) > 1
