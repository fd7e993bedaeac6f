// coroutines.h: awaiting what a task returned, where calls run one by one.
#pragma once

#include <Python.h>

#include <string>

#include <python/ref.h>

namespace pyhost::worker {

// The module pyhost._coroutines, borrowed, imported at the first use (asyncio is slow to import).
// Null with an exception set. Needs the GIL.
PyObject* coroutines_module();

// Whether `await` takes it.
inline bool is_awaitable(PyObject* object) {
  const PyAsyncMethods* methods = Py_TYPE(object)->tp_as_async;
  return methods != nullptr && methods->am_await != nullptr;
}

// What awaiting it on the worker's event loop gives; nothing with an exception set. Requires: the
// GIL, the main thread.
python::PyRef await_result(python::PyRef awaitable);

// The outcome of a task of asyncio that is done, as a function's would be.
python::PyRef outcome_of(PyObject* task);

// Where calls are, as faulthandler writes it: `threads` and `tasks` are lists of ints and of tasks.
// "" when that does not work.
std::string stacks_of(PyObject* threads, PyObject* tasks);

// Where what `await_result` waits for is; "" when it is not running. Requires: the GIL, the main
// thread.
std::string awaited_stack();

// If `await_result` waits for something: cancels that, and true. False: nothing waits, so an
// exception can be raised.
bool cancel_awaited();

}  // namespace pyhost::worker
