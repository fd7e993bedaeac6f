// errors.h: the one door from a Python exception to what crosses the wire.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include <pyhost/error.h>

#include <python/ref.h>

namespace pyhost::python {

// Takes the pending exception, leaving none, as an ErrorPayload (host/wire/layout.md). Never fails:
// what raises while it is described (`__str__`, `__repr__`, a cause loop, a huge message) is
// replaced by words that say so. `with_pickle` adds the exception itself where it can be pickled.
// Frames of pyhost's own code are left out. Requires: the GIL, and a pending exception.
std::string take_error_payload(bool with_pickle);

// The JSON part alone, for failures while loading.
std::string take_error_json(std::string_view context);

// The same as an Error, for code that stays in this process.
Error take_python_error(Code code, std::string_view context);

// The exception class `pyhost.MarshalError` (a ValueError), borrowed; made on first use.
PyObject* marshal_error();

// Whether the pending exception is a MarshalError.
bool marshal_error_pending();

// The closest of `names` to `wanted`, or "" when none is close: for "did you mean".
std::string closest_name(std::string_view wanted, PyObject* names);

}  // namespace pyhost::python
