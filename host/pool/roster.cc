// roster.cc: the processes of the workers, for those who look at them from outside.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include <base/system.h>
#include <pool/state.h>

namespace pyhost::pool {

namespace {

// It has a process, and has not been told to end.
bool stays(const Worker& worker) {
  return worker.alive() && worker.state != WorkerState::retiring && !worker.leaving;
}

}  // namespace

std::vector<WorkerProcess> Engine::processes(base::Deadline deadline) const {
  State& s = *state_;
  if (s.is_copy()) return {};
  State::Lock lock(s.mutex);
  const auto alive = [&s] { return std::count_if(s.workers.begin(), s.workers.end(), stays); };
  const auto there = [&] { return alive() >= s.target || s.fatal || s.stopping || s.ending; };
  s.changed.wait_until(lock, deadline.moment(), there);
  std::vector<WorkerProcess> found;
  for (const Worker& worker : s.workers) {
    if (!stays(worker)) continue;
    found.push_back({.worker = worker.number, .pid = worker.pid, .identity = worker.identity});
  }
  return found;
}

Result<base::UniqueFd> Engine::pidfd(pid_t pid) const {
  State& s = *state_;
  if (!s.is_copy()) {
    const State::Lock lock(s.mutex);
    for (const Worker& worker : s.workers) {
      if (worker.pid != pid || !worker.alive() || !worker.pidfd) continue;
      base::UniqueFd copy(fcntl(worker.pidfd.get(), F_DUPFD_CLOEXEC, 0));
      if (copy) return copy;
      return base::system_error(Code::startup, "copying a pidfd (see `ulimit -n`)", errno);
    }
  }
  return Error(Code::startup, "no worker of this pool has the pid `" + std::to_string(pid) + "`");
}

std::shared_ptr<const ExitLog> Engine::exits() const {
  return state_->exits;
}

void Engine::end_workers(int signal) {
  State& s = *state_;
  if (s.is_copy()) return;
  State::Lock lock(s.mutex);
  s.closed = true;
  for (Worker& worker : s.workers) {
    if (!worker.wire || worker.state == WorkerState::dying) continue;
    s.take_back(worker);
    s.drain(worker);
  }
  s.fail_start(closed_error());  // nothing is started, nor run once more
  for (Worker& worker : s.workers) {
    if (worker.alive() && worker.pidfd) base::send_signal(worker.pidfd.get(), signal);
  }
  s.run_deferred(lock);
}

OnCrash Engine::on_crash() const {
  return state_->options.on_crash;
}

bool Engine::broken() const {
  return state_->broken.load(std::memory_order_acquire);
}

std::optional<Error> Engine::fatal() const {
  const State& s = *state_;
  if (s.is_copy()) return std::nullopt;
  const State::Lock lock(s.mutex);
  return s.fatal;
}

}  // namespace pyhost::pool
