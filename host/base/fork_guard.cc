// fork_guard.cc: the registry of descriptors that no forked process may keep.
//
// The registry's lock is taken before every fork and given back on both sides, so the copy never
// sees it half changed. glibc does the same for malloc, so closing in the copy is safe even when
// other threads were in the middle of something. All of it is set up when the library is loaded:
// a function's static could be half made by another thread in the moment of the fork, and the
// copy would wait for that thread for ever.
#include <base/fork_guard.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

namespace pyhost::base {
namespace {

struct Registry {
  std::mutex lock;
  std::vector<int> fds;
  std::atomic<unsigned> generation{0};
};

// Never destroyed: descriptors are dropped by destructors of other statics, too.
union Undying {
  Registry value;
  constexpr Undying() : value() {}
  ~Undying() {}
};

constinit Undying undying;

Registry& registry() {
  return undying.value;
}

void before_fork() {
  registry().lock.lock();
}

void in_parent() {
  registry().lock.unlock();
}

void in_child() {
  Registry& guarded = registry();
  for (const int fd : guarded.fds) close(fd);
  guarded.fds.clear();
  guarded.generation.fetch_add(1, std::memory_order_relaxed);
  guarded.lock.unlock();
}

[[gnu::constructor]] void register_handlers() {
  pthread_atfork(before_fork, in_parent, in_child);
}

}  // namespace

HostFd::HostFd(UniqueFd fd) : generation_(fork_generation()) {
  if (!fd) return;
  Registry& guarded = registry();
  const std::lock_guard hold(guarded.lock);
  guarded.fds.push_back(fd.get());
  fd_ = std::move(fd);
}

HostFd& HostFd::operator=(HostFd&& other) noexcept {
  if (this == &other) return *this;
  reset();
  fd_ = std::move(other.fd_);
  generation_ = other.generation_;
  return *this;
}

HostFd::~HostFd() {
  reset();
}

int HostFd::get() const {
  return generation_ == fork_generation() ? fd_.get() : -1;
}

void HostFd::reset() {
  if (!fd_) return;
  // Closed under the lock: a fork between the two would leave it open in the copy.
  const std::lock_guard hold(registry().lock);
  UniqueFd(forget()).reset();
}

UniqueFd HostFd::take() {
  if (!fd_) return {};
  const std::lock_guard hold(registry().lock);
  return UniqueFd(forget());
}

// Requires: the registry's lock.
int HostFd::forget() {
  Registry& guarded = registry();
  const int fd = fd_.release();
  // In a copy it was closed by `in_child`; the number may belong to somebody else by now.
  if (generation_ != guarded.generation.load(std::memory_order_relaxed)) return -1;
  const auto place = std::find(guarded.fds.begin(), guarded.fds.end(), fd);
  if (place != guarded.fds.end()) {
    *place = guarded.fds.back();
    guarded.fds.pop_back();
  }
  return fd;
}

unsigned fork_generation() {
  return registry().generation.load(std::memory_order_relaxed);
}

}  // namespace pyhost::base
