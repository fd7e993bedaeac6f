// dropped.h: references that a thread without the GIL has to get rid of.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// Takes one reference over. The main thread drops it when it next runs Python; in an interpreter
// that ends meanwhile nobody does.
//
// Threads: any, with the GIL or without.
void drop_later(PyObject* object);

}  // namespace pyhost::driver
