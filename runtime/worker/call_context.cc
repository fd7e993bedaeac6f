#include <Python.h>
#include <worker/call_context.h>

#include <utility>

#include <python/marshal.h>

namespace pyhost::worker {

using python::PyRef;

PyRef load_context(PyObject* bytes) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost._context"));
  return module ? PyRef::steal(PyObject_CallMethod(module.get(), "load", "O", bytes)) : PyRef();
}

bool InContext::enter(PyRef context) {
  if (PyContext_Enter(context.get()) != 0) return false;
  context_ = std::move(context);
  return true;
}

InContext::~InContext() {
  if (!context_) return;
  PyRef failure = python::take_exception();
  PyContext_Exit(context_.get());
  PyErr_Clear();
  if (failure) python::set_exception(std::move(failure));
}

}  // namespace pyhost::worker
