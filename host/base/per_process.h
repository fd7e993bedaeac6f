// per_process.h: objects of which every forked copy of a process has its own.
#pragma once

#include <atomic>
#include <memory>

#include <base/fork_guard.h>

namespace pyhost::base {

// A T made when it is first asked for; a forked copy starts with a new one, since the old one may
// be locked by a thread that does not exist there. Never destroyed: for statics only, which it
// makes safe without the guard that a function's static has, half taken in a copy.
//
// Threads: any.
template <class T>
class PerProcess {
 public:
  constexpr PerProcess() = default;

  T& get() {
    Made* found = current_.load(std::memory_order_acquire);
    if (found != nullptr && found->generation == fork_generation()) return found->value;
    auto made = std::make_unique<Made>();
    // Else another thread of this process was first, and `found` is now what it made.
    if (current_.compare_exchange_strong(found, made.get())) found = made.release();
    return found->value;
  }

 private:
  struct Made {
    T value;
    unsigned generation = fork_generation();
  };

  std::atomic<Made*> current_{nullptr};
};

}  // namespace pyhost::base
