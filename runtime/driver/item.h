// item.h: one call's arguments as the bytes of a batch.
#pragma once

#include <Python.h>

#include <string>

namespace pyhost::driver {

// Appends `value` to a batch's payload, as a pickle item behind its length. What is not plain goes
// through `dumps` (pyhost._pickling). False with an exception set; the payload is as it was then.
bool encode_framed(PyObject* value, PyObject* dumps, std::string& payload);

}  // namespace pyhost::driver
