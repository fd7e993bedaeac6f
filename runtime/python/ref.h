// ref.h: owning references to Python objects, and the GIL as scopes.
#pragma once

#include <Python.h>

#include <utility>

namespace pyhost::python {

// Owns one reference to a Python object, or nothing.
//
// Threads:  every operation, destruction included, needs the GIL.
// Lifetime: ends before the interpreter; a static PyRef is always a bug.
class PyRef {
 public:
  PyRef() = default;
  // Named after what the C API documents about its return value: a new or a borrowed reference.
  static PyRef steal(PyObject* object) { return PyRef(object); }
  static PyRef borrow(PyObject* object) {
    Py_XINCREF(object);
    return PyRef(object);
  }
  PyRef(const PyRef&) = delete;
  PyRef& operator=(const PyRef&) = delete;
  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  // Leaves `other` empty, and releases what was owned before: whoever looks at `other` afterwards
  // must not find that there.
  PyRef& operator=(PyRef&& other) noexcept {
    PyRef taken(std::move(other));
    std::swap(object_, taken.object_);
    return *this;
  }
  ~PyRef() { Py_XDECREF(object_); }

  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  [[nodiscard]] PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  explicit PyRef(PyObject* object) : object_(object) {}
  PyObject* object_ = nullptr;
};

// Holds the GIL for a scope, from any thread.
class Gil {
 public:
  Gil() : state_(PyGILState_Ensure()) {}
  Gil(const Gil&) = delete;
  Gil& operator=(const Gil&) = delete;
  ~Gil() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

// Gives the GIL away for a scope. Requires: it is held.
class WithoutGil {
 public:
  WithoutGil() : thread_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() { PyEval_RestoreThread(thread_); }

 private:
  PyThreadState* thread_;
};

}  // namespace pyhost::python
