// options.h: how a pool is set up, the same from C++ and from the command.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pyhost {

struct PoolOptions {
  std::string script;  // a .py file; its functions are called by name; or
  std::string module;  // an importable module
  int workers = 0;     // 0: the CPUs this process may use
  std::string python;  // path, venv folder or version; empty: $VIRTUAL_ENV, then python3 on PATH
  std::string image;   // "auto" (or empty), "libpython", "executable"
  std::string start;   // "auto" (or empty), "zygote", "spawn"
  std::vector<std::string> preload;                 // modules imported before the script
  std::optional<std::chrono::nanoseconds> timeout;  // per call, from its start
};

// Limits of single calls, for Pool::with.
struct CallOptions {
  std::optional<std::chrono::nanoseconds>
      timeout;  // from the start of the call; the pool's if absent
};

struct MapOptions {
  std::size_t window =
      0;                // inputs read ahead of the results, at most; 0: chosen from measured time
  bool ordered = true;  // results in input order; false: as they come
};

}  // namespace pyhost
