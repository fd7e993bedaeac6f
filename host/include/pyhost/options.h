// options.h: how a pool is set up, the same from C++ and from the command.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pyhost {

// Limits of single calls, for Pool::with, and the defaults of a pool. What is absent is not
// limited.
struct CallOptions {
  std::optional<std::chrono::nanoseconds> timeout;  // wall time, from the start of the call
  std::optional<std::chrono::nanoseconds> cpu;      // CPU time of the worker during the call
  // How often it may run again after a crash, a limit or an exception. Without it nothing ever runs
  // twice.
  std::optional<int> retries;
  // What it runs again for: kinds (`crashed`, `timeout`, `memory`, `cpu`, `exception`) and names of
  // Python exceptions, subclasses included; empty: all of these.
  std::vector<std::string> retry_on;
  // From the exception that asks a running call to stop, to SIGKILL.
  std::optional<std::chrono::nanoseconds> grace;
};

// How many workers there are: `4`, or `{1, 8}` for as many as the load wants.
struct WorkerCount {
  constexpr WorkerCount() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a plain number is a count
  constexpr WorkerCount(int count) : min(count), max(count) {}
  constexpr WorkerCount(int fewest, int most) : min(fewest), max(most) {}
  bool operator==(const WorkerCount&) const = default;
  int min = 0;
  int max = 0;  // 0: the CPUs this process may use
};

// What the unexpected end of a worker means for the others.
enum class OnCrash : std::uint8_t {
  task,  // its call fails, and a new worker takes its place
  pool,  // every call fails that has no outcome, and so does what is submitted later
};

struct PoolOptions {
  std::string script;   // a .py file; its functions are called by name; or
  std::string module;   // an importable module
  WorkerCount workers;  // processes, one interpreter each
  std::string python;   // path, venv folder or version; empty: $VIRTUAL_ENV, then python3 on PATH
  std::string image;    // "auto" (or empty), "libpython", "executable"
  std::string start;    // "auto" (or empty), "zygote", "spawn"
  std::vector<std::string> preload;                 // modules imported before the script
  std::optional<std::chrono::nanoseconds> timeout;  // this and the next four: as in CallOptions
  std::optional<std::chrono::nanoseconds> cpu;
  int retries = 0;
  std::vector<std::string> retry_on;
  std::optional<std::chrono::nanoseconds> grace;  // 1 s when absent
  std::uint64_t memory = 0;  // bytes one worker may hold, shared pages not counted; 0: no cap
  int concurrency = 1;       // calls in flight per worker: coroutines for `async def`, else threads
  int threads_per_worker = 0;              // of BLAS and OpenMP; 0: CPUs / workers, at least 1
  std::uint64_t max_tasks_per_worker = 0;  // a worker is replaced after so many calls; 0: never
  std::optional<std::chrono::nanoseconds> max_worker_age;  // or when it is so old
  std::uint64_t max_worker_memory = 0;  // or holds so many bytes between two calls; 0: never
  std::chrono::nanoseconds idle_time = std::chrono::seconds(60);  // before workers above min end
  std::string initializer;           // a function called once in each worker, before its first call
  OnCrash on_crash = OnCrash::task;  // with `pool`, an initializer that fails counts as a crash
};

struct MapOptions {
  std::size_t window =
      0;                // inputs read ahead of the results, at most; 0: chosen from measured time
  bool ordered = true;  // results in input order; false: as they come
};

}  // namespace pyhost
