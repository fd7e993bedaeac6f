"""Large arrays of joblib's calls: copied into shared memory once, however many tasks take them.

    driver                                        worker
    memfd                <--- /proc/PID/fd/N ---  mapped once, read-only, for as many batches as come
    memcmp before each batch: changed in place -> a new memfd

A copy is compared with the array whenever a batch is submitted, so no task ever gets what the array held before;
once for batches between which the caller's code cannot have run. Comparing costs as much as copying into memory that
is warm, a sixth of copying into fresh memory, and spares each task to map it anew. So are arrays that cannot be written
to: the flag belongs to one view of the memory, and may have been another one in between.
"""

import collections
import ctypes
import fcntl
import mmap
import os
import threading
import weakref
from typing import NamedTuple

import numpy

# How many bytes of copies are kept that no batch under way needs: the next call may have the same arrays. Without any,
# each call copies and maps them again; more is memory that the script does not know of.
_KEPT_BYTES = 256 << 20
# How many copies a worker keeps mapped; mapping one costs as much as reading it six times.
_KEPT_MAPS = 8

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Shared(NamedTuple):
    """What crosses instead of a buffer: where its copy is. The inode tells the file from a later one at `fd`."""

    pid: int
    fd: int
    inode: int
    nbytes: int


class _Copy:
    """A buffer's content at some moment, which nothing changes: the file is sealed."""

    def __init__(self, view):
        fd = os.memfd_create("pyhost-joblib", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            written = 0
            while written < view.nbytes:
                written += os.write(fd, view[written:])
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            self._map = mmap.mmap(fd, view.nbytes, mmap.MAP_PRIVATE, mmap.PROT_READ)
            self.shared = Shared(os.getpid(), fd, os.fstat(fd).st_ino, view.nbytes)
        except BaseException:
            os.close(fd)
            raise
        self.owner = weakref.ref(_owner(view.obj))
        self.moment = None  # of the last comparison
        self.users = 0  # batches under way
        self.is_current = True

    def holds(self, view):
        return _memcmp(_address(self._map), _address(view), view.nbytes) == 0

    def close(self):
        self._map = None
        os.close(self.shared.fd)


def _address(buffer):
    return numpy.frombuffer(buffer, numpy.uint8).ctypes.data


def _owner(array):
    """The array that an array is a view of, or itself."""
    while isinstance(array.base, numpy.ndarray):
        array = array.base
    return array


class Publisher:
    """The copies for the workers of one pool.

    Threads: any.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._copies = collections.OrderedDict()  # (address, size) -> _Copy, the last used last
        self._stale = collections.deque(maxlen=256)  # inodes of those that are closed, and perhaps still mapped

    def share(self, buffers, is_large, moment):
        """(the buffers, with `Shared`s for the large ones; what `done` takes when the batch has ended).

        moment: what is not compared again at the same one
        """
        used = []
        with self._lock:
            buffers = [self._share(buffer, used, moment) if is_large(buffer) else buffer for buffer in buffers]
        return buffers, used

    def _share(self, buffer, used, moment):
        view = buffer.raw()
        if not isinstance(view.obj, numpy.ndarray):
            return buffer
        key = _address(view), view.nbytes
        copy = self._copies.get(key)
        if copy is None or not (copy.moment is moment and copy.owner() is _owner(view.obj) or copy.holds(view)):
            if copy is not None:
                copy.is_current = False
                self._drop_unused(key, copy)
            try:
                copy = _Copy(view)
            except OSError:
                return buffer  # memory is short: the pool says so, or manages
            self._copies[key] = copy
        self._copies.move_to_end(key)
        copy.moment = moment
        copy.users += 1
        used.append((key, copy))
        return copy.shared

    def done(self, used=()):
        """Frees what is not worth keeping, once no batch needs it."""
        with self._lock:
            for key, copy in used:
                copy.users -= 1
                if not copy.is_current:
                    self._drop_unused(key, copy)
            idle = [(key, copy) for key, copy in self._copies.items() if copy.users == 0]
            kept = sum(copy.shared.nbytes for _, copy in idle)
            for key, copy in idle:
                if kept > _KEPT_BYTES or copy.owner() is None:
                    kept -= copy.shared.nbytes
                    self._drop_unused(key, copy)

    def _drop_unused(self, key, copy):
        if self._copies.get(key) is copy:
            del self._copies[key]
        if copy.users == 0:
            copy.close()
            self._stale.append(copy.shared.inode)

    def stale(self):
        """What workers are to `forget`."""
        with self._lock:
            return tuple(self._stale)

    def forgotten(self, inodes):
        with self._lock:
            self._stale = collections.deque((inode for inode in self._stale if inode not in inodes), 256)

    def close(self):
        """Requires: no batch is under way."""
        with self._lock:
            for copy in self._copies.values():
                copy.close()
            self._copies.clear()


# In workers.

# By inode, the last used last.
_maps: "collections.OrderedDict[int, mmap.mmap]" = collections.OrderedDict()


def opened(shared):
    """A read-only buffer over a copy."""
    pid, fd_there, inode, nbytes = shared
    found = _maps.get(inode)
    if found is None:
        fd = os.open(f"/proc/{pid}/fd/{fd_there}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_ino != inode:
                raise FileNotFoundError("the call this batch belongs to has ended")
            found = _maps[inode] = mmap.mmap(fd, nbytes, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)
        while len(_maps) > _KEPT_MAPS:
            _maps.popitem(last=False)
    _maps.move_to_end(inode)
    return found


def forget(inodes):
    """Unmaps copies that are closed, except those that something in this worker still refers to."""
    for inode in inodes:
        _maps.pop(inode, None)
