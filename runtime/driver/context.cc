#include <Python.h>
#include <driver/context.h>

namespace pyhost::driver {

bool take_context(PyObject* carry, python::PyRef& context) {
  if (carry == nullptr || !has_context()) return true;
  context = python::PyRef::steal(PyObject_CallNoArgs(carry));
  if (!context) return false;
  if (context.get() == Py_None) context = {};
  return true;
}

}  // namespace pyhost::driver
