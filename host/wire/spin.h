// spin.h: how long to poll before sleeping.
//
// Waking a sleeping process costs tens of microseconds, polling costs a CPU. So: poll for a short
// time after activity, and never when something else wants this CPU. That is detected with
// sched_yield(2): on a CPU with nothing else to run it returns at once; when it takes longer,
// somebody else ran, and polling would be at their expense.
#pragma once

#include <base/clock.h>

#include <chrono>

namespace pyhost::wire {

class Spin {
 public:
  // Polls `ready` until it is true, the time is up, or the CPU is wanted elsewhere. Returns the
  // last answer of `ready`.
  template <class Ready>
  bool until(const Ready& ready) {
    if (ready()) return true;
    if (!allowed()) return false;
    const base::Moment start = base::now();
    for (;;) {
      for (int i = 0; i < kPollsPerLook; ++i) {
        if (ready()) return hit();
        pause();
      }
      const base::Moment before = base::now();
      if (before - start > kLongest) return miss();
      if (yield_took_long(before)) return contended(ready());
    }
  }

 private:
  // Longer: CPU time an idle pool burns after each call. Shorter: calls in a tight loop sleep.
  static constexpr base::Duration kLongest = std::chrono::microseconds(50);
  static constexpr int kPollsPerLook = 64;  // about 2 us of pauses between looks at the clock

  static void pause();
  static bool yield_took_long(base::Moment before);
  bool allowed();
  bool hit();
  bool miss();
  bool contended(bool ready);

  int skip_ = 0;     // waits that do not poll at all
  int backoff_ = 1;  // how many to skip after the next failure
};

}  // namespace pyhost::wire
