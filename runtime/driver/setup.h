// setup.h: from what the package asks for to an engine's options.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <base/fork_guard.h>
#include <pool/engine.h>
#include <pyhost/result.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::driver {

// What `_pyhost_core.Engine(...)` was called with.
struct Wanted {
  std::string start;                          // "fork", "zygote" or "spawn"
  std::shared_ptr<const CallOptions> limits;  // of every call; may be null
  WorkerCount workers;                        // this and the next seven as in pool::Options
  std::uint64_t memory = 0;
  std::uint32_t concurrency = 1;
  int threads = 0;
  std::uint64_t max_tasks_per_worker = 0;
  std::optional<base::Duration> max_worker_age;
  std::uint64_t max_worker_memory = 0;
  std::optional<base::Duration> idle_time;
  std::uint64_t own_arrays = 0;
  bool as_printed = false;  // pool::Lines
  std::optional<pool::Initializer> initializer;
  OnCrash on_crash = OnCrash::task;
  std::vector<std::string> preload;
  std::vector<std::string> sys_path;  // of this process; zygotes import from there too
  std::vector<std::string> argv;      // sys.argv
  std::string folder;                 // where this process works
  std::vector<std::string> flags;     // of its interpreter
  std::string inheritance;            // LoadPlan::inheritance
  std::vector<base::HostFd> inherited;
  std::uint32_t first_identity = 0;  // this and the one above as in pool::Options
  std::string python;                // sys.executable
  std::string image;                 // "auto", "libpython", "executable"
};

// The keyword arguments of `_pyhost_core.Engine(...)`; `dumps` becomes the pickler, borrowed. False
// with an exception set, which may be a MarshalError for the initializer's arguments.
bool read_wanted(PyObject* args, PyObject* kwargs, Wanted& wanted, PyObject** dumps);

// Starts an engine: under `fork` with a snapshot of this process as it is now. Error `startup`:
// names what is missing. Requires: the GIL, which is given away where nothing is forked.
Result<std::shared_ptr<pool::Engine>> start_engine(Wanted wanted);

}  // namespace pyhost::driver
