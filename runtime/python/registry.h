// registry.h: functions the driver knew before it forked workers, found again by number.
//
// A worker forked from a snapshot of the driver has the driver's objects already; a function among
// them travels as a number. Definition codec `none` in host/wire/layout.md.
#pragma once

#include <Python.h>

#include <cstdint>

namespace pyhost::python {

// Keeps `function` for the life of the process and returns its number. The same object gets the
// same number. Needs the GIL.
std::uint64_t register_function(PyObject* function);

// Borrowed; null (no exception set) when the number is unknown.
PyObject* registered_function(std::uint64_t number);

}  // namespace pyhost::python
