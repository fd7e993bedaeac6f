// outcome.h: from what became of a call to the object or the exception the caller gets.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

namespace pyhost::driver {

// Exactly one of the two is set, or none where `decode` was interrupted.
struct Decoded {
  python::PyRef value;
  python::PyRef exception;
  bool cancelled = false;  // the pool's cancel, not an exception of the function

  explicit operator bool() const { return value || exception; }
};

// What goes wrong while a result is rebuilt is its exception. Fails only where it is `interrupted`,
// with that exception set: then `outcome` can be decoded again; else its numbers are all that is of
// use. Requires: the GIL, and no pending exception. Runs Python code. `own_arrays`: arrays in the
// result can be written to.
Decoded decode(pool::Outcome& outcome, bool own_arrays);

// Whether the pending exception came out of a signal handler, as Ctrl-C does: it is for whoever
// waits, and says nothing about what was being rebuilt. Requires: an exception is set.
bool interrupted();

// An exception for a failure of the host's own, made by `pyhost.errors`. Null where that was
// `interrupted`, with that exception set.
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
