// driver.h: the engine seen from Python: the native half of `import pyhost`.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// The Python-visible functions of this folder, for the module in core.cc.
PyMethodDef* methods();

// Adds the types of this folder to the module. False with an exception set on failure.
bool add_types(PyObject* module);

// How a snapshot of this process goes on as a zygote: `worker::run_zygote`, handed in by core.cc,
// because driver and worker do not know each other. Never returns.
using RunZygote = void (*)(int control, bool snapshot);
void set_zygote(RunZygote run);

}  // namespace pyhost::driver
