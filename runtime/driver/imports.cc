// imports.cc: the locks of modules, which forking copies together with their owners' names.
#include <Python.h>
#include <driver/imports.h>
#include <driver/unlocked.h>
#include <python/ref.h>

#include <chrono>
#include <thread>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

// Halved, a large package may be copied half imported; doubled, programs that live in an import
// wait that long for each copy.
constexpr std::chrono::seconds kPatience{1};
constexpr std::chrono::milliseconds kBetweenLooks{1};

// {name: weak reference of its lock} of the modules that are being imported; empty: not to be had.
PyRef module_locks() {
  PyObject* bootstrap = PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib");
  if (bootstrap == nullptr) return {};
  PyRef locks = PyRef::steal(PyObject_GetAttrString(bootstrap, "_module_locks"));
  return locks && PyDict_Check(locks.get()) ? std::move(locks) : PyRef();
}

bool belongs_to_another_thread(PyObject* reference) {
  const PyRef lock = PyRef::steal(PyObject_CallNoArgs(reference));
  const PyRef owner = PyRef::steal(lock ? PyObject_GetAttrString(lock.get(), "owner") : nullptr);
  return owner && PyLong_Check(owner.get()) &&
         PyLong_AsUnsignedLong(owner.get()) != PyThread_get_thread_ident();
}

bool others_import() {
  const PyRef locks = module_locks();
  const PyRef references = PyRef::steal(locks ? PyDict_Values(locks.get()) : nullptr);
  bool found = false;
  for (Py_ssize_t i = 0; references && !found && i < PyList_GET_SIZE(references.get()); ++i) {
    found = belongs_to_another_thread(PyList_GET_ITEM(references.get(), i));
  }
  PyErr_Clear();
  return found;
}

}  // namespace

void await_imports() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (others_import() && std::chrono::steady_clock::now() < end) {
    without_gil([] { std::this_thread::sleep_for(kBetweenLooks); });
  }
}

void forget_imports() {
  const PyRef locks = module_locks();
  if (locks) PyDict_Clear(locks.get());
  PyErr_Clear();
}

}  // namespace pyhost::driver
