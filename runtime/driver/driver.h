// driver.h: the engine seen from Python: the native half of `import pyhost`.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// The Python-visible functions of this folder, for the module in core.cc.
PyMethodDef* methods();

// Adds the types of this folder to the module. False with an exception set on failure.
bool add_types(PyObject* module);

}  // namespace pyhost::driver
