// core.cc: the extension module `_pyhost_core`: joins what the folders of runtime/ offer.
#include <Python.h>

#include <driver/driver.h>
#include <image/core_image.h>
#include <python/errors.h>
#include <python/methods.h>
#include <worker/worker.h>

namespace {

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_pyhost_core",
    "The native half of pyhost for this version of CPython.",
    -1,  // state is per process: a worker has one interpreter
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

bool fill(PyObject* module) {
  for (PyMethodDef* table : {pyhost::python::methods(), pyhost::worker::methods(),
                             pyhost::driver::methods(), pyhost::image::methods()}) {
    if (PyModule_AddFunctions(module, table) < 0) return false;
  }
  PyObject* marshal_error = pyhost::python::marshal_error();
  if (marshal_error == nullptr) return false;
  Py_INCREF(marshal_error);
  if (PyModule_AddObject(module, "MarshalError", marshal_error) < 0) {
    Py_DECREF(marshal_error);
    return false;
  }
  return pyhost::driver::add_types(module);
}

}  // namespace

// Single-phase on purpose: the libpython image makes the module without an import system around it.
PyMODINIT_FUNC PyInit__pyhost_core() {
  if (const std::string mismatch = pyhost::image::version_mismatch(); !mismatch.empty()) {
    PyErr_SetString(PyExc_ImportError, mismatch.c_str());
    return nullptr;
  }
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && !fill(module)) Py_CLEAR(module);
  return module;
}
