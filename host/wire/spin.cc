#include <sched.h>
#include <wire/spin.h>

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pyhost::wire {
namespace {

// A sched_yield that finds nothing to run takes well under a microsecond; one that switches to
// somebody and back takes several. Smaller: an interrupt looks like a neighbour and polling stops
// for nothing. Larger: neighbours with short turns go unnoticed and are slowed down.
constexpr base::Duration kNothingElseRan = std::chrono::microseconds(5);

// The most waits in a row that go straight to sleep. Larger: polling comes back late after a busy
// moment. Smaller: a permanently busy machine pays for more vain looks.
constexpr int kMostSkipped = 64;

}  // namespace

void Spin::pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // `yield` is a no-op on most cores
#endif
}

bool Spin::yield_took_long(base::Moment before) {
  sched_yield();
  return base::now() - before > kNothingElseRan;
}

bool Spin::allowed() {
  if (skip_ == 0) return true;
  --skip_;
  return false;
}

bool Spin::hit() {
  backoff_ = 1;
  return true;
}

// Nothing came, nobody was disturbed: the next wait may poll again.
bool Spin::miss() {
  return false;
}

bool Spin::contended(bool ready) {
  if (ready) return true;
  skip_ = backoff_;
  backoff_ = std::min(backoff_ * 2, kMostSkipped);
  return false;
}

}  // namespace pyhost::wire
