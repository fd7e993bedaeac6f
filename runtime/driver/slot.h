// slot.h: what the types of this folder have in common.
#pragma once

#include <Python.h>
#include <python/ref.h>

#include <cstring>

namespace pyhost::driver {

// A function as the untyped pointer that type specifications take.
template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

// Makes a type and adds it to the module, under the last part of its name. Borrowed; null with an
// exception set.
inline PyTypeObject* add_type(PyObject* module, PyType_Spec spec) {
  python::PyRef type = python::PyRef::steal(PyType_FromSpec(&spec));
  if (!type) return nullptr;
  auto* added = reinterpret_cast<PyTypeObject*>(type.get());
  const char* name = std::strrchr(spec.name, '.') + 1;
  return PyModule_AddObject(module, name, type.release()) == 0 ? added : nullptr;
}

// The last step of a `dealloc`.
inline void free_object(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

}  // namespace pyhost::driver
