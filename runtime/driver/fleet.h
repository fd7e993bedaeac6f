// fleet.h: what concerns all workers of an engine at once, as methods of the Python object Engine.
#pragma once

#include <Python.h>
#include <driver/handle.h>
#include <pool/engine.h>

#include <memory>

namespace pyhost::driver {

// Runs a batch of one item on every worker; a list of the results, in no order. Null with an
// exception set: the first one of the function, once all have ended, or that of a signal handler.
// Workers that end before they come to it have no result. Requires: the GIL, given away meanwhile.
PyObject* broadcast(const std::shared_ptr<EngineHandle>& handle, pool::Batch batch);

// A list of (worker, pid, call, seconds, stack); null with an exception set. Waits for answers
// until `deadline`. Requires: the GIL, given away meanwhile.
PyObject* stacks(pool::Engine& engine, base::Deadline deadline);

// What the pool is doing, as a dict. Requires: the GIL, given away meanwhile.
PyObject* stats(pool::Engine& engine);

// A list of (number, pid, identity), one per worker process; waits for those that are being
// started.
PyObject* processes(pool::Engine& engine, base::Deadline deadline);

}  // namespace pyhost::driver
