#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <worker/waiter.h>

#include <thread>

#include <base/clock.h>
#include <base/futex.h>

namespace pyhost::worker {

Waiter::Waiter(wire::WorkerEnd& wire)
    : wire_(wire), bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Waiter::start() {
  // Signals are for threads that run Python.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { watch(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Waiter::arm(std::uint32_t position) {
  if (armed_.load(std::memory_order_acquire) != 0) return;
  position_ = position;
  armed_.store(1, std::memory_order_release);
  base::futex_wake(armed_, 1, base::Sharing::one_process);
}

void Waiter::ring() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t rung = write(bell_.get(), &one, sizeof one);
}

void Waiter::silence() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(bell_.get(), &count, sizeof count);
}

void Waiter::watch() {
  for (;;) {
    while (armed_.load(std::memory_order_acquire) == 0) {
      base::futex_wait(armed_, 0, base::Deadline::never(), base::Sharing::one_process);
    }
    wire_.wait_beyond(position_);
    armed_.store(0, std::memory_order_release);
    ring();
  }
}

}  // namespace pyhost::worker
