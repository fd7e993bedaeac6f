// marshal.h: raising MarshalError, and the pending exception as an object on every CPython.
#pragma once

#include <Python.h>

#include <string_view>

#include <python/ref.h>

namespace pyhost::python {

// Raises MarshalError with this UTF-8 message. Returns null, so that callers can return it.
PyObject* raise_marshal(std::string_view message);

// The same with the pending exception as its cause. What is no failure of the value stays as it is:
// a MarshalError, MemoryError, and what is not an Exception (KeyboardInterrupt).
PyObject* raise_marshal_from_pending(std::string_view message);

// The pending exception, normalized, with its traceback set; leaves none. Null when there is none.
PyRef take_exception();

// Makes `exception` pending.
void set_exception(PyRef exception);

// Sets a pending exception aside for a scope, and drops what the scope raised.
class ExceptionAside {
 public:
  ExceptionAside() : exception_(take_exception()) {}
  ExceptionAside(const ExceptionAside&) = delete;
  ExceptionAside& operator=(const ExceptionAside&) = delete;
  ~ExceptionAside() {
    PyErr_Clear();
    if (exception_) set_exception(std::move(exception_));
  }

 private:
  PyRef exception_;
};

}  // namespace pyhost::python
