// loop.h: a worker's life after it has its identity.
#pragma once

#include <Python.h>

#include <process/control.h>
#include <wire/worker_end.h>
#include <worker/functions.h>

namespace pyhost::worker {

// Announces itself, then takes calls until it is retired. `number`: for current_worker(). Requires:
// the GIL. Never returns; never finalizes the interpreter, which hangs or crashes with the threads
// that libraries leave running.
[[noreturn]] void run_worker(int number, wire::WorkerEnd wire, const Loaded& loaded,
                             const process::WorkerSettings& settings);

}  // namespace pyhost::worker
