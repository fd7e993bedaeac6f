// zygotes.cc: the conversation with the processes that fork workers (process/control.h).
#include <sys/wait.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include <base/system.h>
#include <pool/error_payload.h>
#include <pool/state.h>

namespace pyhost::pool {
namespace {

// Zygotes lost in a row without one item settled in between: more is a loop, not bad luck.
constexpr int kMostZygoteDeaths = 5;
constexpr base::Duration kZygoteRestart = std::chrono::milliseconds(20);

}  // namespace

void Engine::State::start_zygotes(Lock& lock) {
  for (std::size_t i = 0; i < zygotes.size(); ++i) {
    if (zygotes[i].state != ZygoteState::absent || stopping || fatal) continue;
    if (per_worker && !zygotes[i].wanted) continue;
    if (zygotes[i].start_at > base::now()) {
      arm(zygotes[i].start_at);
      continue;
    }
    zygotes[i].state = ZygoteState::starting;
    lock.unlock();
    auto started = options.start_zygote();
    lock.lock();
    auto adopted =
        started.ok() ? adopt(i, std::move(*started)) : Result<void>(std::move(started).error());
    if (!adopted.ok()) {
      fail_start(std::move(adopted).error());
    } else if (options.zygote_is_copy) {
      spawn_missing(base::now());
    }
  }
}

Result<void> Engine::State::adopt(std::size_t index, process::Started started) {
  Zygote& zygote = zygotes[index];
  zygote.started.watcher_pid = started.watcher_pid;
  zygote.control = base::HostFd(std::move(started.control));
  zygote.watcher = base::HostFd(std::move(started.watcher));
  zygote.state = ZygoteState::loading;
  zygote.started_at = base::now();
  watch_fd(zygote.control.get(), Tag::control, index);
  watch_fd(zygote.watcher.get(), Tag::watcher, index);
  arm(zygote.started_at + options.startup_limit);
  if (auto handed = hand_down(zygote); !handed.ok()) return handed;
  return process::send_control(zygote.control.get(), {.kind = process::ControlKind::load},
                               process::to_json(options.load));
}

Result<void> Engine::State::hand_down(const Zygote& zygote) {
  std::vector<int> fds;
  for (const base::HostFd& fd : options.inherited) fds.push_back(fd.get());
  for (std::size_t sent = 0; sent < fds.size(); sent += process::kMostInherited) {
    const auto some = std::span(fds).subspan(sent);
    auto done =
        process::send_control(zygote.control.get(), {.kind = process::ControlKind::inherit}, {},
                              some.first(std::min(some.size(), process::kMostInherited)));
    if (!done.ok()) return done;
  }
  return {};
}

void Engine::State::on_control(std::size_t index) {
  // The zygote may be replaced while its messages are handled, so look it up each time.
  while (zygotes[index].control) {
    auto received = process::receive_control(zygotes[index].control.get(), false);
    if (!received.ok()) {
      notice(received.error().message);
      base::kill_tree(zygotes[index].started.watcher_pid);
      on_zygote_end(index, std::nullopt);
      return;
    }
    if (received->message) {
      on_message(index, std::move(*received->message));
    } else {
      if (received->closed) on_zygote_end(index, std::nullopt);
      return;
    }
  }
}

void Engine::State::on_message(std::size_t index, process::ControlMessage message) {
  const process::ControlHeader& header = message.header;
  switch (header.kind) {
    case process::ControlKind::ready:
      on_zygote_ready(index, message.body);
      break;
    case process::ControlKind::failed: {
      Error error = error_from_json(message.body, Code::startup);
      fail_start(std::move(error));
      break;
    }
    case process::ControlKind::forked:
      on_forked(std::move(message));
      break;
    case process::ControlKind::fork_failed:
      if (Worker* forking = forking_worker(header.worker)) {
        clear_slot(*forking);
        on_spawn_failure(
            *forking,
            base::system_error(Code::startup, "fork of worker " + std::to_string(header.worker),
                               header.status));
        changed.notify_all();
      }
      break;
    case process::ControlKind::exited:
      on_worker_status(header.pid, header.status, header.peak_bytes);
      break;
    case process::ControlKind::zygote_exited:
      on_worker_status(header.pid, header.status,
                       header.peak_bytes);  // a zygote that became a worker
      on_zygote_end(index, header.status);
      break;
    default:
      break;
  }
}

void Engine::State::on_zygote_ready(std::size_t index, const std::string& info) {
  Zygote& zygote = zygotes[index];
  if (zygote.state != ZygoteState::loading) return;
  zygote.state = ZygoteState::ready;
  loaded = true;
  const auto facts = nlohmann::json::parse(info, nullptr, false);
  const int threads = facts.is_object() ? facts.value("threads", 1) : 1;
  zygote.pid = facts.is_object() ? facts.value("pid", -1) : -1;
  // In a copy they come from hooks of `os.register_at_fork`, which run in every worker, too.
  if (threads > 1 && !per_worker && !options.zygote_is_copy) {
    const auto culprit = facts.find("threaded_by");
    notice(
        "importing `" +
        (culprit != facts.end() && culprit->is_string() ? culprit->get<std::string>()
                                                        : std::string("a module")) +
        "` started a thread, which forked workers could not rely on; using start method `spawn`");
    per_worker = true;
    zygotes.resize(workers.size());  // this one becomes worker 0
  }
  changed.notify_all();
  spawn_missing(base::now());
}

// The worker a zygote speaks of, if it was asked to make it.
Worker* Engine::State::forking_worker(int number) {
  if (number < 0 || static_cast<std::size_t>(number) >= workers.size()) return nullptr;
  Worker& worker = workers[static_cast<std::size_t>(number)];
  return worker.state == WorkerState::forking ? &worker : nullptr;
}

void Engine::State::on_forked(process::ControlMessage message) {
  Worker* forking = forking_worker(message.header.worker);
  if (forking == nullptr || message.fds.empty()) return;
  Worker& worker = *forking;
  worker.pid = message.header.pid;
  worker.pidfd = base::HostFd(std::move(message.fds.front()));
  worker.become(WorkerState::starting);
  watch_fd(worker.pidfd.get(), Tag::worker, worker.number);
  if (stopping) kill(worker);
  if (drain(worker)) pump();  // `ready` may be there already
  changed.notify_all();
}

void Engine::State::on_worker_status(pid_t pid, int status, std::uint64_t peak_bytes) {
  for (Worker& worker : workers) {
    if (worker.pid != pid || worker.state == WorkerState::absent) continue;
    exits->note(pid, status);
    worker.status = status;
    worker.peak_bytes = peak_bytes;
    if (worker.ended) bury(worker);
    return;
  }
}

// The zygote is gone, or does not make sense any more. Its workers die with it (PDEATHSIG), which
// their pidfds tell; the watcher ends last and is reaped in on_watcher_end.
void Engine::State::on_zygote_end(std::size_t index, std::optional<int> status) {
  Zygote& zygote = zygotes[index];
  if (zygote.state != ZygoteState::loading && zygote.state != ZygoteState::ready) return;
  const bool loading = zygote.state == ZygoteState::loading;
  zygote.state = ZygoteState::dead;
  if (!stopping && loading) {
    const std::string name =
        !options.load.script.empty() ? options.load.script : options.load.module;
    const std::string how = status ? describe_status(*status) : std::string("ended");
    fail_start(Error(Code::startup,
                     name.empty() ? "the interpreter " + how + " while starting"
                                  : "the interpreter " + how + " while loading `" + name + "`"));
  } else if (!stopping && !per_worker) {
    notice("the zygote (pid " + std::to_string(zygote.pid) + ") " +
           (status ? describe_status(*status) : std::string("ended")) +
           "; its workers are replaced");
    if (++zygote_deaths > kMostZygoteDeaths) {
      fail_start(Error(Code::startup, "zygotes keep ending: the last one (pid " +
                                          std::to_string(zygote.pid) + ") " +
                                          (status ? describe_status(*status) : "ended")));
    }
  }
  for (Worker& worker : workers) {
    if (&zygote_of(worker) != &zygote) continue;
    if (worker.state == WorkerState::forking) {
      clear_slot(worker);
    } else if (worker.state == WorkerState::dying && worker.ended) {
      bury(worker);
    }
  }
  changed.notify_all();
}

void Engine::State::on_watcher_end(std::size_t index) {
  on_control(index);  // what it still had to say
  on_zygote_end(index, std::nullopt);
  Zygote& zygote = zygotes[index];
  waitpid(zygote.started.watcher_pid, nullptr, WNOHANG);
  zygote = Zygote{};
  if (stopping || fatal) {
    zygote.state = ZygoteState::dead;
    changed.notify_all();
    return;
  }
  zygote.start_at =
      base::now() + (zygote_deaths > 1 ? kZygoteRestart * zygote_deaths : base::Duration::zero());
  spawn_missing(base::now());
}

}  // namespace pyhost::pool
