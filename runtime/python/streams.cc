#include <Python.h>
#include <python/ref.h>
#include <python/streams.h>

namespace pyhost::python {

void flush_streams() {
  for (const char* name : {"stdout", "stderr"}) {
    PyObject* stream = PySys_GetObject(name);  // borrowed
    if (stream == nullptr || stream == Py_None) continue;
    const PyRef keep = PyRef::borrow(stream);
    const PyRef done = PyRef::steal(PyObject_CallMethod(stream, "flush", nullptr));
    if (!done) PyErr_Clear();
  }
}

}  // namespace pyhost::python
