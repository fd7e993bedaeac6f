#include <unistd.h>
#include <worker/ending.h>

#include <python/marshal.h>
#include <python/ref.h>
#include <worker/output.h>

namespace pyhost::worker {

using python::PyRef;

void retire() {
  PyObject* util = PyDict_GetItemString(PyImport_GetModuleDict(), "multiprocessing.util");
  if (util != nullptr && util != Py_None) {
    PyRef::steal(PyObject_CallMethod(util, "_exit_function", nullptr));
    drop_exception("multiprocessing's exit functions");
  }
  const PyRef atexit = PyRef::steal(PyImport_ImportModule("atexit"));
  if (atexit) PyRef::steal(PyObject_CallMethod(atexit.get(), "_run_exitfuncs", nullptr));
  drop_exception("exit functions");
  flush_streams();
  _exit(0);
}

void drop_exception(const char* where) {
  const PyRef context = PyRef::steal(PyUnicode_FromString(where));
  if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(context.get());
}

void end_on_arguments() {
  drop_exception("the arguments of a call");
  flush_streams();
  _exit(1);
}

void end_copy() {
  int status = 0;
  if (PyErr_Occurred() != nullptr) {
    const PyRef exception = python::take_exception();
    const bool exits = PyErr_GivenExceptionMatches(exception.get(), PyExc_SystemExit) != 0;
    const PyRef code = PyRef::steal(PyObject_GetAttrString(exception.get(), "code"));
    PyErr_Clear();
    status = 1;
    if (exits && code && code.get() == Py_None) status = 0;
    if (exits && code && PyLong_Check(code.get())) {
      status = static_cast<int>(PyLong_AsLong(code.get()));
    }
    if (!exits) {
      python::set_exception(PyRef::borrow(exception.get()));
      PyErr_Print();
    }
  }
  flush_streams();
  _exit(status);
}

}  // namespace pyhost::worker
