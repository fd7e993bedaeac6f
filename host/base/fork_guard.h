// fork_guard.h: keeps the host's descriptors out of processes that user code forks.
//
// An application (or a Python script that drives a pool) may fork at any time. Its copy must not
// hold our sockets, pidfds or memfds open, nor think that it owns the pool. Mappings are kept out
// by MADV_DONTFORK; descriptors are registered here and closed in every forked process by one
// pthread_atfork handler.
#pragma once

#include <base/fd.h>

namespace pyhost::base {

// A UniqueFd that is also closed in every process forked from this one; the copy there is empty.
//
// Threads: as UniqueFd. The registry behind it is safe across threads and forks.
class HostFd {
 public:
  HostFd() = default;
  explicit HostFd(UniqueFd fd);
  HostFd(HostFd&& other) noexcept : fd_(std::move(other.fd_)), generation_(other.generation_) {}
  HostFd& operator=(HostFd&& other) noexcept;
  HostFd(const HostFd&) = delete;
  HostFd& operator=(const HostFd&) = delete;
  ~HostFd();

  int get() const;
  explicit operator bool() const { return get() >= 0; }
  void reset();
  // Leaves *this empty; the descriptor is no longer closed in forked processes.
  [[nodiscard]] UniqueFd take();

 private:
  int forget();  // unregisters; the descriptor, -1 in a copy
  UniqueFd fd_;
  unsigned generation_ = 0;  // of the process that may use and close it
};

// Counts the forks between the first process that used this library and this one: 0 there, 1 in
// a process it forked, and so on. Whoever remembers the number it saw knows when it is a copy.
unsigned fork_generation();

}  // namespace pyhost::base
