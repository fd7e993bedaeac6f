// identity.h: turning a fresh fork of the zygote into a worker.
#pragma once

#include <Python.h>

#include <pyhost/result.h>

#include <process/control.h>
#include <wire/worker_end.h>

namespace pyhost::worker {

struct Identity {
  wire::WorkerEnd wire;
  process::WorkerSettings settings;
};

// Makes this process worker `number`: signals, standard streams, names, random numbers, and what
// belongs to the process it is a copy of. `snapshot`: that process was the driver. Takes the
// descriptors of the message. Requires: the GIL, the only thread.
Result<Identity> take_identity(int number, process::ControlMessage& message, bool snapshot);

// Descriptor `fd` becomes /dev/null.
void open_null(int fd);

}  // namespace pyhost::worker
