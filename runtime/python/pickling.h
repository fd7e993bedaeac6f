// pickling.h: pickle 5, with the cheapest way for each kind of object.
//
// All functions need the GIL; null means that a Python exception is set: MarshalError for a value
// that cannot cross, chained to what the pickler said.
#pragma once

#include <Python.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <python/ref.h>

namespace pyhost::python {

// The pickle of `object`, a bytes object. Large contiguous buffers are appended to the list
// `buffers` as PickleBuffer objects instead of being copied into the pickle; `buffers` may be null.
// `dumps(object, buffer_callback)` replaces the stdlib's pickler and its fallback when given.
PyRef pickle_dumps(PyObject* object, PyObject* buffers, PyObject* dumps);

// The object; `buffers` is a list of objects with the buffer protocol, or null. The collector is
// suspended meanwhile.
PyRef pickle_loads(std::span<const std::byte> pickle, PyObject* buffers);

// The qualified names of functions and classes of `module` that a pickle of protocol 5 refers to,
// as views of it. nullopt: it has something that the standard library's pickler does not write of
// itself, or is broken.
std::optional<std::vector<std::string_view>> names_in_pickle(std::string_view pickle,
                                                             std::string_view module);

// Pickles of None, bools, ints of 64 bits, floats and short ASCII strings, which any unpickler
// reads, made without calling the stdlib. Null without an exception: not such an object or pickle.
PyRef scalar_dumps(PyObject* object);
// Appends such an object as an item of a call, behind its length. False: not such an object; no
// exception, nothing appended.
bool append_scalar_item(PyObject* object, std::string& items);
PyRef scalar_loads(std::span<const std::byte> pickle);

}  // namespace pyhost::python
