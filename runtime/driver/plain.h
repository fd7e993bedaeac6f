// plain.h: telling values that any pickler handles alike from those that need a closer look.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// Whether `object` is made of exact builtins only (None, bool, int, float, str, bytes, and tuples,
// lists and dicts of such), seen within a bounded look. Needs the GIL; runs no Python code.
bool is_plain(PyObject* object);

}  // namespace pyhost::driver
