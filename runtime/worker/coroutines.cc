#include <worker/coroutines.h>

#include <utility>

#include <python/text.h>

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

std::string stacks_of(PyObject* threads, PyObject* tasks) {
  PyObject* coroutines = coroutines_module();
  const PyRef text =
      coroutines != nullptr
          ? PyRef::steal(PyObject_CallMethod(coroutines, "stacks", "OO", threads, tasks))
          : PyRef();
  PyErr_Clear();
  return text && PyUnicode_Check(text.get()) ? python::utf8_of(text.get()) : "";
}

std::string awaited_stack() {
  if (module == nullptr) return "";
  const PyRef none = PyRef::steal(PyList_New(0));
  const PyRef tasks = PyRef::steal(PyObject_CallMethod(module, "waiting", nullptr));
  PyErr_Clear();
  const bool any = none && tasks && PyList_Check(tasks.get()) && PyList_GET_SIZE(tasks.get()) > 0;
  return any ? stacks_of(none.get(), tasks.get()) : "";
}

bool cancel_awaited() {
  if (module == nullptr) return false;
  const PyRef done = PyRef::steal(PyObject_CallMethod(module, "cancel_waiting", nullptr));
  PyErr_Clear();
  return done.get() == Py_True;
}

}  // namespace pyhost::worker
