// clock.h: moments and deadlines on CLOCK_MONOTONIC.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace pyhost::base {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC on Linux: the same in every process
using Moment = Clock::time_point;
using Duration = Clock::duration;  // nanoseconds

inline Moment now() {
  return Clock::now();
}
inline std::uint64_t nanoseconds(Moment moment) {
  return static_cast<std::uint64_t>(moment.time_since_epoch().count());
}
inline Moment moment(std::uint64_t nanoseconds) {
  return Moment(Duration(static_cast<std::int64_t>(nanoseconds)));
}

// A moment after which waiting is pointless; `Deadline::never()` has none.
class Deadline {
 public:
  static Deadline never() { return Deadline(Moment::max()); }
  static Deadline at(Moment moment) { return Deadline(moment); }
  static Deadline in(Duration duration) {
    const Moment start = now();
    return Deadline(duration >= Moment::max() - start ? Moment::max() : start + duration);
  }

  bool endless() const { return moment_ == Moment::max(); }
  bool passed() const { return !endless() && now() >= moment_; }
  Moment moment() const { return moment_; }
  // Never negative; `Duration::max()` when endless.
  Duration left() const {
    if (endless()) return Duration::max();
    const Duration rest = moment_ - now();
    return rest < Duration::zero() ? Duration::zero() : rest;
  }
  // For poll(2) and epoll_wait(2): rounded up, -1 when endless.
  int left_ms() const;

 private:
  explicit Deadline(Moment moment) : moment_(moment) {}
  Moment moment_;
};

}  // namespace pyhost::base
