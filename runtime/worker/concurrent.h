// concurrent.h: a worker with several calls in flight.
#pragma once

#include <Python.h>

#include <process/control.h>
#include <wire/worker_end.h>
#include <worker/functions.h>

namespace pyhost::worker {

// As run_worker, with up to `concurrency` calls at a time: coroutines on one event loop in the main
// thread, other functions in threads. Requires: the GIL, the main thread. Never returns.
[[noreturn]] void run_concurrently(wire::WorkerEnd wire, const Loaded& loaded,
                                   const process::WorkerSettings& settings);

}  // namespace pyhost::worker
