// session.h: an engine started for one command, with start-up watched in the background.
#pragma once

#include <cli/bell.h>
#include <cli/output.h>
#include <pool/engine.h>
#include <pyhost/options.h>
#include <pyhost/result.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace pyhost::cli {

// The pool of `map`, `call` or `doctor`. What users print goes to `messages`.
//
// Threads:  the main thread.
// Lifetime: ends before the bell and the messages it was given. Ending it kills what still runs.
class Session {
 public:
  static Result<std::unique_ptr<Session>> start(const PoolOptions& options,
                                                const std::string& function, const Bell& bell,
                                                Messages& messages);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  ~Session();

  pool::Engine& engine() { return *engine_; }
  std::uint32_t function() const { return function_; }

  // Whether the first worker is up or start-up has failed; the bell rings when that changes.
  bool started() const { return started_.load(std::memory_order_acquire); }
  // Whether nothing has begun. A worker may be at work before `started` says that it is up.
  bool is_loading() const { return !started() && engine_->stats().in_flight == 0; }
  // Requires: started().
  const Result<void>& start_up() const { return start_up_; }

  // Lets exit functions of the workers run, for a bounded time.
  void drain();

 private:
  Session() = default;

  std::shared_ptr<pool::Engine> engine_;
  std::uint32_t function_ = 0;
  Result<void> start_up_;
  std::atomic<bool> started_{false};
  // Engine::ready blocks; in a thread of its own, Ctrl-C is answered while a script loads.
  std::thread starter_;
};

}  // namespace pyhost::cli
