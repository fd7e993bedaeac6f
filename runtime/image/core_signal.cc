// core_signal.cc: SIGUSR1 under `pyhost run` tells where everybody is.
//
// Two handlers, the second called by the first: faulthandler's writes the stacks of this process at
// once, even from a loop in C; Python's, which runs between two bytecodes of the main thread, asks
// the workers. A script's own `signal.signal(SIGUSR1, ...)` replaces both.
#include <Python.h>
#include <signal.h>

#include <image/core_image.h>
#include <python/ref.h>

namespace pyhost::image {
namespace {

using python::PyRef;

// Nothing it runs into may become an exception in the script. A script that made no pool has no
// workers, and imports nothing for this.
PyObject* report_workers(PyObject* /*module*/, PyObject* /*arguments*/) {
  PyObject* modules = PyImport_GetModuleDict();  // borrowed
  if (PyDict_GetItemString(modules, "pyhost._lifecycle") != nullptr) {
    const PyRef stacks = PyRef::steal(PyImport_ImportModule("pyhost._stacks"));
    if (stacks) PyRef::steal(PyObject_CallMethod(stacks.get(), "report", nullptr));
    PyErr_Clear();
  }
  Py_RETURN_NONE;
}

}  // namespace

void report_on_signal() {
  static PyMethodDef definition = {"report_workers", report_workers, METH_VARARGS,
                                   "Handler of SIGUSR1: prints where every worker is."};
  struct sigaction before = {};
  const bool ignored =
      sigaction(SIGUSR1, nullptr, &before) == 0 && before.sa_handler == SIG_IGN;  // by the parent
  const PyRef handler = PyRef::steal(PyCFunction_New(&definition, nullptr));
  const PyRef signals = PyRef::steal(PyImport_ImportModule("_signal"));
  const PyRef faults = PyRef::steal(PyImport_ImportModule("faulthandler"));
  if (!ignored && handler && signals && faults) {
    PyRef::steal(PyObject_CallMethod(signals.get(), "signal", "iO", SIGUSR1, handler.get()));
    PyRef::steal(PyObject_CallMethod(faults.get(), "register", "iiii", SIGUSR1, 2, 1, 1));
  }
  PyErr_Clear();  // a script without this is still one
}

}  // namespace pyhost::image
