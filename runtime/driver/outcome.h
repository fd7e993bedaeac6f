// outcome.h: from what became of a call to the object or the exception the caller gets.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

namespace pyhost::driver {

// Exactly one of the two is set.
struct Decoded {
  python::PyRef value;
  python::PyRef exception;
  bool cancelled = false;  // the pool's cancel, not an exception of the function
};

// Never fails: what goes wrong while a result is rebuilt is its exception. Requires: the GIL, and
// no pending exception. Runs Python code. `own_arrays`: arrays in the result can be written to.
Decoded decode(pool::Outcome outcome, bool own_arrays);

// An exception for a failure of the host's own, made by `pyhost.errors`.
python::PyRef exception_of(const Error& error);

// That a result could not be rebuilt, because of `exception`, as what breaks a pool.
Error broken_by(PyObject* exception);

// Takes the pending exception, normalized and with its traceback; never null.
python::PyRef take_exception();

// Raises a copy-free reference to `exception`, as `raise exception` does.
void raise(PyObject* exception);

// Raises `concurrent.futures.TimeoutError` or `CancelledError`.
void raise_futures_error(const char* name);

}  // namespace pyhost::driver
