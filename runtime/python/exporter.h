// exporter.h: bytes that something else keeps alive, as a Python object with the buffer protocol.
#pragma once

#include <Python.h>

#include <cstddef>
#include <span>

#include <python/ref.h>

namespace pyhost::python {

// A buffer over `bytes`, read-only unless `writable`: then the bytes must be, and nobody else's.
// References `owner` until the last view of it is gone. Null with an exception set when memory is
// short. Needs the GIL.
PyRef export_bytes(std::span<const std::byte> bytes, PyObject* owner, bool writable);

}  // namespace pyhost::python
