// worker.h: the life of a zygote and of a worker, from inside the interpreter.
#pragma once

#include <Python.h>

namespace pyhost::worker {

// The zygote's whole life: obeys `control` (host/process/control.h), forks workers, reaps them,
// reports. A forked (or become) worker runs its loop inside this call. Requires: the GIL, the only
// thread. `snapshot`: this process is a fork of the driver, so nothing is loaded. Never returns.
[[noreturn]] void run_zygote(int control, bool snapshot);

// The Python-visible functions of this folder, for the module in core.cc.
PyMethodDef* methods();

// What a task can ask: this worker's number, -1 outside a worker.
int current_worker();

}  // namespace pyhost::worker
