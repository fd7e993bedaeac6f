// call_context.h: the context variables of the caller, around its call in a worker.
#pragma once

#include <Python.h>

#include <python/ref.h>

namespace pyhost::worker {

// The context of the bytes that came with a call (pyhost._context); nothing with an exception set.
python::PyRef load_context(PyObject* bytes);

// Makes a context the one of this thread, until the end of the scope. A coroutine's task that is
// made within runs in a copy of it.
//
// Threads: needs the GIL; a pending exception at the end stays.
class InContext {
 public:
  InContext() = default;
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
  ~InContext();

  // Once. False with an exception set.
  bool enter(python::PyRef context);

 private:
  python::PyRef context_;
};

}  // namespace pyhost::worker
