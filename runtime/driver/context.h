// context.h: the context variables of a caller, on their way to the worker that runs its call.
#pragma once

#include <Python.h>
#include <python/ref.h>

namespace pyhost::driver {

// Whether the calling thread has any set: what a call costs that has none. Requires: the GIL.
inline bool has_context() {
  PyObject* context = PyThreadState_Get()->context;  // null: none was ever set in this thread
  return context != nullptr && PyObject_Length(context) > 0;
}

// What travels with the calls of this thread, as `carry()` (pyhost._context) makes it: bytes, or
// nothing when there is none or `carry` is null. False with an exception set.
bool take_context(PyObject* carry, python::PyRef& context);

}  // namespace pyhost::driver
