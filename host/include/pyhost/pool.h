// pool.h: start here. A pool of Python interpreters, one per process, called from C++.
//
//   pyhost::Pool pool = pyhost::Pool::start({.script = "scorer.py"}).value_or_throw();
//   double score = pool.call<double>("score", 3, "x");
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pyhost/export.h>
#include <pyhost/future.h>
#include <pyhost/map.h>
#include <pyhost/options.h>
#include <pyhost/result.h>
#include <pyhost/stacks.h>
#include <pyhost/value.h>

namespace pyhost {

// Counts since the start of the pool, and what it does now.
struct PoolStats {
  int workers = 0;              // processes alive
  int busy = 0;                 // of these, with a call
  std::uint64_t queued = 0;     // calls that wait for a worker
  std::uint64_t in_flight = 0;  // calls with a worker
  std::uint64_t settled = 0;    // calls that have an outcome
  std::uint64_t failed = 0;     // of these, other than a result
  std::uint64_t crashes = 0;    // workers that died
  std::uint64_t respawns = 0;   // workers that were replaced
  std::uint64_t retries = 0;    // calls that ran once more
  std::uint64_t recycled = 0;   // workers replaced for their calls, age or memory
  std::vector<pid_t> pids;      // of the workers alive
};

namespace detail {

struct PoolState;
PYHOST_EXPORT RawFuture submit(const std::shared_ptr<PoolState>& pool, std::string_view function,
                               std::string_view item,
                               const std::shared_ptr<const CallOptions>& limits);
PYHOST_EXPORT std::vector<RawFuture> broadcast(const std::shared_ptr<PoolState>& pool,
                                               std::string_view function, std::string_view item,
                                               const std::shared_ptr<const CallOptions>& limits);

}  // namespace detail

// How calls are made: a pool, and limits for the calls made through this object.
//
// Every C++ argument is one positional argument; keywords go through pyhost::kwargs. `function` is
// a dotted name, looked up in the pool's script or module, else imported.
//
// Threads: any, at once.
class Caller {
 public:
  // Calls and waits. Throws Error.
  template <class T, class... Args>
  T call(std::string_view function, const Args&... args) const {
    return try_call<T>(function, args...).value_or_throw();
  }

  // The same without exceptions.
  template <class T, class... Args>
  Result<T> try_call(std::string_view function, const Args&... args) const {
    return submit<T>(function, args...).try_get();
  }

  // Queues the call and returns at once.
  template <class T, class... Args>
  Future<T> submit(std::string_view function, const Args&... args) const {
    try {
      return Future<T>(detail::submit(state_, function, detail::call_item(args...), limits_));
    } catch (Error& error) {  // an argument that cannot cross
      return Future<T>(std::move(error));
    }
  }

  // Queues the call once for each worker there is, before all that waits; one future per worker,
  // in no order. Never runs again: a worker that ends first gives `crashed` when it had started,
  // else `cancelled`. Workers that come later do not run it; see PoolOptions::initializer.
  template <class T, class... Args>
  std::vector<Future<T>> broadcast(std::string_view function, const Args&... args) const {
    std::vector<Future<T>> futures;
    try {
      for (detail::RawFuture& raw :
           detail::broadcast(state_, function, detail::call_item(args...), limits_)) {
        futures.emplace_back(std::move(raw));
      }
    } catch (Error& error) {  // an argument that cannot cross
      futures.emplace_back(std::move(error));
    }
    return futures;
  }

  // One call per element of `inputs`, each a single positional argument. An lvalue range must
  // outlive the results.
  template <class T, std::ranges::viewable_range Inputs>
  MapResults<T, std::views::all_t<Inputs>> map(std::string_view function, Inputs&& inputs,
                                               const MapOptions& options = {}) const {
    return {detail::RawMap(state_, function, options, limits_),
            std::views::all(std::forward<Inputs>(inputs))};
  }

 protected:
  explicit Caller(std::shared_ptr<detail::PoolState> state,
                  std::shared_ptr<const CallOptions> limits = nullptr)
      : state_(std::move(state)), limits_(std::move(limits)) {}
  std::shared_ptr<detail::PoolState> state_;
  std::shared_ptr<const CallOptions> limits_;  // none: the pool's

  friend class Pool;
};

// Owner:    the application. Workers live no longer than the pool, nor than the application.
// Threads:  any, at once.
// Blocks:   the destructor, until every process of the pool is gone.
class PYHOST_EXPORT Pool : public Caller {
 public:
  // Finds the interpreter, loads the script and starts the workers; returns when the first is
  // ready. Error `startup`: what was tried and what to do.
  static Result<Pool> start(const PoolOptions& options);
  Pool(Pool&&) noexcept = default;
  Pool& operator=(Pool&& other) noexcept;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  // The same pool with other limits, as in `pool.with({.timeout = 50ms}).call<double>(...)`.
  Caller with(const CallOptions& limits) const {
    return Caller(state_, std::make_shared<const CallOptions>(limits));
  }

  PoolStats stats() const;

  // Asks every worker where it is. Blocks until all answered, or `limit`; one that is stopped has
  // no stack then.
  std::vector<WorkerStack> stacks(std::chrono::nanoseconds limit = std::chrono::seconds(1)) const;

  // Accepts nothing new, waits for what was submitted, then ends the workers. False when the limit
  // passed first: what was left is `cancelled`.
  bool drain(std::chrono::nanoseconds limit);

 private:
  explicit Pool(std::shared_ptr<detail::PoolState> state) : Caller(std::move(state)) {}
};

}  // namespace pyhost
