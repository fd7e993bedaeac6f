"""Batches of joblib on their way: pickled in the driver, run in a worker. Imported there by name, without joblib.

A batch becomes a pickle and the buffers of its arrays, each of which crosses with one copy. In the task, arrays of
more than `max_nbytes` are read-only views of shared memory, and smaller ones the task's own, as joblib has it.
Arrays that a file is mapped into (`numpy.memmap`) cross as the name of the file, so that what a task writes is in it.
"""

import collections
import copyreg
import gc
import io
import os
import pickle
import sys
import time

from pyhost import _pickling
from pyhost._core import core

_picklers = {}  # cloudpickle or None -> the class made for it


class NotSent(core.MarshalError, pickle.PicklingError):
    """A task that cannot be pickled: what this project and what joblib calls it."""


def dumps(batch):
    """(pickle, buffers) of a callable without arguments."""
    buffers = []
    try:
        table = _reducers()
        if table is None:
            data = pickle.dumps(batch, 5, buffer_callback=buffers.append)
        else:
            file = io.BytesIO()
            pickler = pickle.Pickler(file, 5, buffer_callback=buffers.append)
            pickler.dispatch_table = table
            pickler.dump(batch)
            data = file.getvalue()
        if b"__main__" not in data:
            return data, buffers
    except MemoryError:
        raise
    except Exception:
        pass  # the pickler below manages, or says better what is wrong
    buffers = []
    try:
        return _dumps_by_value(batch, buffers.append), buffers
    except Exception as error:
        raise _not_sent(batch, error) from error


def run_batch(data, buffers, max_nbytes, stale):
    """Runs a batch in a worker. Returns how many seconds it took, and its result.

    max_nbytes: of arrays that the task gets as its own; None: all of them
    stale: for `forget_arrays`
    """
    _pickling.runs_batches = True
    if stale:
        forget_arrays(stale)
    arrays = [_array(buffer, max_nbytes) for buffer in buffers]
    del buffers
    batch = _load(data, arrays)
    del arrays
    begin = time.perf_counter()
    result = batch()
    return time.perf_counter() - begin, result


def _load(data, arrays):
    collecting = gc.isenabled()
    gc.disable()  # it would look through what is being made, again and again: half the time of a large value
    try:
        return pickle.loads(data, buffers=arrays)
    finally:
        if collecting:
            gc.enable()


def _array(buffer, max_nbytes):
    if isinstance(buffer, tuple):
        from pyhost import _joblib_arrays
        return _joblib_arrays.opened(buffer)
    if isinstance(buffer, bytearray):
        return buffer  # small: it is the task's own already
    return buffer if is_large(buffer, max_nbytes) else bytearray(buffer)


def forget_arrays(inodes):
    """Lets a worker give back shared memory that the driver has closed."""
    arrays = sys.modules.get("pyhost._joblib_arrays")
    if arrays is not None:
        arrays.forget(inodes)


def is_large(buffer, max_nbytes):
    return max_nbytes is not None and memoryview(buffer).nbytes > max_nbytes


def _dumps_by_value(batch, buffer_callback):
    cloudpickle = _pickling.find_cloudpickle()
    if cloudpickle not in _picklers:
        base = _pickling.pickler_class(cloudpickle)
        table = collections.ChainMap({}, getattr(base, "dispatch_table", copyreg.dispatch_table))
        _picklers[cloudpickle] = type("BatchPickler", (base,), {"dispatch_table": table, "files_by_content": True})
    made = _picklers[cloudpickle]
    if not made.dispatch_table.maps[0]:
        made.dispatch_table.maps[0].update(_own_reducers())
    file = io.BytesIO()
    made(file, protocol=5, buffer_callback=buffer_callback).dump(batch)
    return file.getvalue()


def _not_sent(batch, error):
    items = getattr(getattr(batch, "func", batch), "items", batch)
    why = error if isinstance(error, core.MarshalError) else _pickling.explain(items, error, None, False)
    return NotSent(f"could not pickle the task to send it to the workers: {why}")


# How arrays are pickled.

_table = None


def _reducers():
    """What `copyreg` has, and ours; None while there are no arrays."""
    global _table
    if _table is None:
        own = _own_reducers()
        if not own:
            return None
        _table = collections.ChainMap(own, copyreg.dispatch_table)
    return _table


def _own_reducers():
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "memmap"):
        return {}
    return {numpy.ndarray: _reduce_array, numpy.memmap: _reduce_array}


def _reduce_array(array):
    numpy = sys.modules["numpy"]
    mapped = _mapped(array, numpy.memmap)
    if mapped is not None:
        return _reduce_mapped(array, mapped)
    if isinstance(array, numpy.memmap):
        array = numpy.asarray(array)
    if not (array.flags.c_contiguous or array.flags.f_contiguous or array.dtype.hasobject):
        array = numpy.ascontiguousarray(array)  # other strides would be copied into the pickle
    return array.__reduce_ex__(5)


def _mapped(array, memmap):
    """The array that a file was mapped into and that this one is a view of, or None.

    Not for mode `c`, in which what was written is not in the file, nor where the file has lost its name.
    """
    while array is not None:
        if isinstance(array, memmap) and array.filename is not None and not isinstance(array.base, memmap):
            return array if array.mode != "c" and os.path.exists(array.filename) else None
        array = getattr(array, "base", None)
    return None


def _reduce_mapped(array, mapped):
    address = array.__array_interface__["data"][0]
    if array.size == 0 or array.dtype.hasobject:
        return array.copy().__reduce_ex__(5)
    low = address + sum((count - 1) * stride for count, stride in zip(array.shape, array.strides) if stride < 0)
    high = address + sum((count - 1) * stride for count, stride in zip(array.shape, array.strides) if stride > 0)
    start = mapped.offset + low - mapped.__array_interface__["data"][0]
    mode = "r+" if mapped.mode == "w+" else mapped.mode  # mapping it once more must not empty the file
    return _map_again, (str(mapped.filename), mode, start, high - low + array.itemsize, array.dtype, array.shape,
                        array.strides, address - low, array.flags.writeable)


def _map_again(filename, mode, start, nbytes, dtype, shape, strides, first, writable):
    import numpy
    whole = numpy.memmap(filename, numpy.uint8, mode, start, (nbytes,))
    array = numpy.ndarray.__new__(numpy.memmap, shape, dtype, whole, first, strides)
    array.__array_finalize__(whole)
    array.offset = start + first
    if not writable:
        array.flags.writeable = False
    return array
