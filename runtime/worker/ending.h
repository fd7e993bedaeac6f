// ending.h: how a worker's process ends, and what is not allowed to end it.
#pragma once

#include <Python.h>

namespace pyhost::worker {

// Runs exit functions, flushes, ends the process. Never finalizes the interpreter, which hangs or
// crashes with the threads that libraries leave running. Requires: the GIL.
[[noreturn]] void retire();

// Reports what is pending as Python does for exceptions nobody can get, and drops it: without
// giving SystemExit a chance to end the process. Needs the GIL.
void drop_exception(const char* where);

// The arguments of a call could not be rebuilt, in a worker that is to end then; the pending
// exception is reported. Requires: the GIL.
[[noreturn]] void end_on_arguments();

// A copy of this process that a task forked came back to the worker's own code: it ends as the task
// asked, by the pending SystemExit or with what it raised. Requires: the GIL.
[[noreturn]] void end_copy();

}  // namespace pyhost::worker
