// completions.h: tasks whose outcome somebody awaits without waiting for it natively (callbacks,
// `concurrent.futures.wait`, asyncio), on their way to the settler thread of the package.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// Hands one reference to a task over. Any thread, without the GIL. After `close_completions` the
// reference is leaked: nobody is left to take it.
void push_completion(PyObject* task);

// The next task as a new reference, waiting for it without the GIL. Null without an exception:
// closed.
PyObject* next_completion();

// Lets `next_completion` return null once what was pushed has been taken.
void close_completions();
void open_completions();

}  // namespace pyhost::driver
