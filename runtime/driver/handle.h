// handle.h: who owns an engine that Python objects refer to.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <driver/completions.h>
#include <pool/engine.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace pyhost::driver {

// An engine on behalf of a Python object `Engine` and the tasks submitted to it.
//
// Whoever calls the engine gives the GIL away meanwhile (`without_gil`): its supervisor may hold
// the engine's lock while it waits for the GIL to take a new snapshot.
//
// Threads:  every function, destruction included, needs the GIL and gives it away while it waits.
// Lifetime: ends with the last Python object that refers to it, or with `close`. In a forked copy
//           of the process it is inert: nothing is killed, nothing is waited for.
class EngineHandle {
 public:
  // `own_arrays`: arrays in results can be written to.
  EngineHandle(std::shared_ptr<pool::Engine> engine, bool own_arrays);
  EngineHandle(const EngineHandle&) = delete;
  EngineHandle& operator=(const EngineHandle&) = delete;
  ~EngineHandle();

  // The engine; null with a RuntimeError set once it is closed, or in a copy of its process.
  std::shared_ptr<pool::Engine> engine() const;
  // The same where it drains, and without an exception: null when it is gone.
  std::shared_ptr<pool::Engine> any_engine() const { return engine_ ? engine_ : draining_.lock(); }
  bool own_arrays() const { return own_arrays_; }
  bool usable() const;  // the same question without an exception
  // False with a RuntimeError set: this is a copy of its process.
  bool refuse_copy() const;
  // Where outcomes go that are watched; closed once the engine has ended. The object is borrowed.
  const std::shared_ptr<Completions>& completions() const { return completions_; }
  PyObject* completions_object() const { return completions_object_.get(); }
  // Whether what is submitted now is run: not once it is closing, nor in a copy of its process.
  bool accepts() const;

  // Waits for `event`. False with an exception set: a signal handler raised, or the engine is
  // gone; `timed_out` tells the remaining case from success.
  bool wait(pool::Event& event, base::Deadline deadline, bool& timed_out) const;

  // Starts to finish what was submitted, accepting nothing new, and then gives everything back. If
  // there can be no thread for that, it is done when this returns.
  void start_drain();
  // Waits for that. False with an exception set: a signal handler raised.
  bool wait_drained();
  bool drained() const { return drained_.load() != 0; }
  // Nothing can run any more, and calls are refused for it instead of failing: a crash broke the
  // pool, or workers cannot start and `refuse_after_failed_start` was called.
  bool broken() const { return refuses_ && engine_ && engine_->broken(); }
  void refuse_after_failed_start() { refuses_ = true; }
  OnCrash on_crash() const { return on_crash_; }
  const pool::ExitLog& exits() const { return *exits_; }
  // Cancels and kills. Returns when no process is left.
  void kill();

  // As the engine's.
  void cancel_waiting();

 private:
  void join_drainer();
  void finish(std::shared_ptr<pool::Engine> engine);  // drains it; without the GIL

  std::shared_ptr<pool::Engine> engine_;  // empty from `start_drain` or `kill` on
  std::weak_ptr<pool::Engine> draining_;  // owned by the drainer
  std::shared_ptr<const pool::ExitLog> exits_;
  const std::shared_ptr<Completions> completions_ = std::make_shared<Completions>();
  const python::PyRef completions_object_ = make_completions(completions_);
  unsigned generation_;
  bool own_arrays_;
  OnCrash on_crash_;
  bool refuses_;
  std::thread drainer_;
  std::atomic<std::uint32_t> drained_{0};
};

// Threads of this process that pyhost did not start, the calling one not counted.
int foreign_threads();

// Counts one thread of ours for `foreign_threads`, for a scope.
class OurThread {
 public:
  OurThread();
  OurThread(const OurThread&) = delete;
  OurThread& operator=(const OurThread&) = delete;
  ~OurThread();
};

}  // namespace pyhost::driver
