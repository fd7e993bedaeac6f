// describe.h: an exception in words.
#pragma once

#include <Python.h>

#include <pyhost/error.h>

namespace pyhost::python {

// Type, message, traceback, frames and causes of `exception`, each within a bound. Never fails, and
// leaves no exception pending. Runs code of the user (`__str__`). Needs the GIL, no pending
// exception.
Error describe(PyObject* exception);

}  // namespace pyhost::python
