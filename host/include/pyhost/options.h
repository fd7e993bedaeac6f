// options.h: how a pool is set up, the same from C++ and from the command.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace pyhost {

struct PoolOptions {
  std::string script;   // a .py file; its functions are called by name; or
  std::string module;   // an importable module
  int workers = 0;      // 0: the CPUs this process may use
  std::string python;   // path, venv folder or version; empty: $VIRTUAL_ENV, then python3 on PATH
  std::string image;    // "auto" (or empty), "libpython", "executable"
  std::string start;    // "auto" (or empty), "zygote", "spawn"
  std::vector<std::string> preload;                  // modules imported before the script
  std::optional<std::chrono::nanoseconds> timeout;   // per call, from its start
};

}  // namespace pyhost
