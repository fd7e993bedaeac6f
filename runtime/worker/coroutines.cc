#include <worker/coroutines.h>

#include <utility>

namespace pyhost::worker {
namespace {

using python::PyRef;

PyObject* module = nullptr;  // for the life of the process

}  // namespace

PyObject* coroutines_module() {
  if (module == nullptr) module = PyImport_ImportModule("pyhost._coroutines");
  return module;
}

PyRef await_result(PyRef awaitable) {
  PyObject* coroutines = coroutines_module();
  if (coroutines == nullptr) return {};
  const PyRef task = PyRef::steal(PyObject_CallMethod(coroutines, "run", "O", awaitable.get()));
  awaitable = {};
  return task ? outcome_of(task.get()) : PyRef();
}

PyRef outcome_of(PyObject* task) {
  return PyRef::steal(PyObject_CallMethod(task, "result", nullptr));
}

bool cancel_awaited() {
  if (module == nullptr) return false;
  const PyRef done = PyRef::steal(PyObject_CallMethod(module, "cancel_waiting", nullptr));
  PyErr_Clear();
  return done.get() == Py_True;
}

}  // namespace pyhost::worker
