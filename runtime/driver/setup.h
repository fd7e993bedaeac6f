// setup.h: from what the package asks for to an engine's options.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <pool/engine.h>
#include <pyhost/result.h>

#include <optional>
#include <string>
#include <vector>

namespace pyhost::driver {

// What `_pyhost_core.Engine(...)` was called with.
struct Wanted {
  std::string start;  // "fork", "zygote" or "spawn"
  int workers = 1;
  std::optional<base::Duration> timeout;
  std::vector<std::string> preload;
  std::vector<std::string> sys_path;  // of this process; zygotes import from there too
  std::string python;                 // sys.executable
  std::string image;                  // "auto", "libpython", "executable"
};

// Starts an engine: under `fork` with a snapshot of this process as it is now. Error `startup`:
// names what is missing. Requires: the GIL, which is given away where nothing is forked.
Result<std::shared_ptr<pool::Engine>> start_engine(const Wanted& wanted);

}  // namespace pyhost::driver
