// waiter.h: a thread that sleeps on the wire for a main thread that sleeps on other things.
#pragma once

#include <atomic>
#include <cstdint>

#include <base/fd.h>
#include <wire/worker_end.h>

namespace pyhost::worker {

// The main thread waits for descriptors, in poll(2); calls are announced by a futex. So a thread
// without Python sleeps on the futex, and rings a bell that is a descriptor.
//
// Owner:    the worker process, until its end.
// Threads:  `arm`, `ring` and `silence`: any, one at a time.
// Lifetime: never ends once started.
class Waiter {
 public:
  explicit Waiter(wire::WorkerEnd& wire);
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() = default;

  void start();
  // Readable when it was rung.
  int bell() const { return bell_.get(); }
  // Rings the bell once there is a record at `position`, or was. While it is armed this does
  // nothing: a record at or before that position rings it, too.
  void arm(std::uint32_t position);
  void ring() const;
  // Makes the bell unreadable again.
  void silence() const;

 private:
  [[noreturn]] void watch();
  wire::WorkerEnd& wire_;
  base::UniqueFd bell_;
  std::atomic<std::uint32_t> armed_{0};
  std::uint32_t position_ = 0;  // written while it is not armed
};

}  // namespace pyhost::worker
