// core.cc: the extension module `_pyhost_core`: joins what the folders of runtime/ offer.
#include <Python.h>

#include <driver/driver.h>
#include <image/core_image.h>
#include <python/errors.h>
#include <python/methods.h>
#include <python/ref.h>
#include <worker/inheritance.h>
#include <worker/interrupt.h>
#include <worker/worker.h>

namespace {

using pyhost::python::PyRef;

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

bool add(PyObject* module, const char* name, PyObject* borrowed) {
  PyRef object = PyRef::borrow(borrowed);
  if (!object || PyModule_AddObject(module, name, object.get()) < 0) return false;
  [[maybe_unused]] PyObject* stolen = object.release();  // the module has it now
  return true;
}

bool fill(PyObject* module) {
  for (PyMethodDef* table :
       {pyhost::python::methods(), pyhost::worker::methods(), pyhost::worker::inheritance_methods(),
        pyhost::driver::methods(), pyhost::image::methods()}) {
    if (PyModule_AddFunctions(module, table) < 0) return false;
  }
  if (!add(module, "MarshalError", pyhost::python::marshal_error()) ||
      !add(module, "TaskInterrupted", pyhost::worker::task_interrupted()) ||
      // Those of `contextvars`, which is not worth importing where the script has none.
      !add(module, "Context", reinterpret_cast<PyObject*>(&PyContext_Type)) ||
      !add(module, "ContextVar", reinterpret_cast<PyObject*>(&PyContextVar_Type))) {
    return false;
  }
  pyhost::driver::set_zygote(pyhost::worker::run_zygote);
  return pyhost::driver::add_types(module);
}

}  // namespace

// Single-phase on purpose: the libpython image makes the module without an import system around it.
PyMODINIT_FUNC PyInit__pyhost_core() {  // NOLINT: the name CPython looks for
  if (const std::string mismatch = pyhost::image::version_mismatch(); !mismatch.empty()) {
    PyErr_SetString(PyExc_ImportError, mismatch.c_str());
    return nullptr;
  }
  PyRef module = PyRef::steal(PyModule_Create(&definition));
  if (!module || !fill(module.get())) return nullptr;
  return module.release();
}
