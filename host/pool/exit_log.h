// exit_log.h: how workers ended, for those who ask later.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace pyhost::pool {

// The last statuses of waitpid, by pid.
//
// Threads:  any.
// Lifetime: shared; outlives the engine that writes it.
class ExitLog {
 public:
  void note(pid_t pid, int status) {
    const std::lock_guard lock(mutex_);
    statuses_.emplace_front(pid, status);
    if (statuses_.size() > kMost) statuses_.pop_back();
  }

  std::optional<int> find(pid_t pid) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, status] : statuses_) {
      if (known == pid) return status;
    }
    return std::nullopt;
  }

 private:
  // Workers are replaced for their age or number of calls without end. Fewer would forget those of
  // a large pool that ended together.
  static constexpr std::size_t kMost = 1024;
  mutable std::mutex mutex_;
  std::deque<std::pair<pid_t, int>> statuses_;  // the latest first
};

}  // namespace pyhost::pool
