// supervisor.cc: the engine's own thread. It sleeps in epoll until a worker rings, a process ends,
// somebody prints or a moment comes; with nothing to do it uses no CPU.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <base/system.h>
#include <pool/state.h>
#include <pool/words.h>

namespace pyhost::pool {
namespace {

// What an idle worker's arena keeps. Without any, the first large call after a pause pays for
// pages.
constexpr std::uint64_t kWarmBytes = 1 << 20;

// How long the supervisor drains before it looks at anything else. Shorter costs an epoll_wait per
// few replies under load; longer makes deadlines late by as much.
constexpr base::Duration kDrainTime = std::chrono::milliseconds(1);

void clear_counter(int fd) {
  std::uint64_t count = 0;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace

void Engine::State::supervise() {
  std::array<epoll_event, 64> events;
  bool busy = false;  // replies kept coming
  Lock lock(mutex);
  spawn_missing(base::now());
  for (;;) {
    run_deferred(lock);
    std::vector<std::function<void()>> todo;
    todo.swap(continuations);
    if (!todo.empty()) {
      lock.unlock();
      for (const auto& continuation : todo) continuation();
      todo.clear();
      lock.lock();
      continue;
    }
    start_zygotes(lock);
    if (finished && deferred.empty() && !running_deferred) {
      supervisor_ended = true;
      options.inherited.clear();
      return;
    }
    lock.unlock();
    const int count = epoll_wait(epoll.get(), events.data(), events.size(), busy ? 0 : -1);
    lock.lock();
    enter_polling();
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tag = events[i].data.u64;
      dispatch(static_cast<Tag>(tag >> 32), static_cast<std::size_t>(tag & 0xffffffff));
    }
    // While replies keep coming, look for them here instead of being rung for each.
    // Not for ever: deadlines, deaths and continuations have their turn.
    const base::Moment until = base::now() + kDrainTime;
    for (busy = drain(); busy && base::now() < until; busy = drain()) run_deferred(lock);
    leave_polling();
  }
}

void Engine::State::dispatch(Tag tag, std::size_t index) {
  switch (tag) {
    case Tag::doorbell:
      clear_counter(doorbell.get());
      drain();
      pump();  // rung for room in a call ring, too
      break;
    case Tag::wake:
      clear_counter(wake.get());
      spawn_missing(base::now());
      break;
    case Tag::timer:
      clear_counter(timer.get());
      armed = base::Moment::max();
      on_timer(base::now());
      break;
    case Tag::control:
      on_control(index);
      break;
    case Tag::watcher:
      if (zygotes[index].watcher &&
          base::wait_exit(zygotes[index].watcher.get(), base::Deadline::in({}))) {
        on_watcher_end(index);
      }
      break;
    case Tag::worker: {
      Worker& worker = workers[index];
      if (worker.pidfd && base::wait_exit(worker.pidfd.get(), base::Deadline::in({}))) {
        on_death(worker);
      }
      break;
    }
    case Tag::out:
    case Tag::err:
      collect_output(workers[index], Collect::so_far);
      break;
  }
}

void Engine::State::on_timer(base::Moment now) {
  base::Moment next = base::Moment::max();
  for (Worker& worker : workers) {
    next = std::min({next, check_worker(worker, now), pass_begun_lines(worker, now)});
  }
  for (std::size_t i = 0; i < zygotes.size(); ++i) {
    const Zygote& zygote = zygotes[i];
    if (zygote.state != ZygoteState::loading) continue;
    const base::Moment limit = zygote.started_at + options.startup_limit;
    if (now >= limit) {
      base::kill_tree(zygote.started.watcher_pid);
      fail_start(Error(Code::startup, "the interpreter was not ready after " +
                                          seconds_text(options.startup_limit) + " of loading `" +
                                          options.load.script + options.load.module + "`"));
    } else {
      next = std::min(next, limit);
    }
  }
  next = std::min(next, check_population(now));
  spawn_missing(now);
  pump();
  if (next != base::Moment::max()) arm(next);
}

// A worker that hangs before it is ready (in a fork hook, say) would be waited for for ever.
base::Moment Engine::State::check_start(Worker& worker, base::Moment now) {
  const base::Moment limit = worker.started_at + options.startup_limit;
  if (now < limit) return limit;
  notice("worker " + std::to_string(worker.number) + " was not ready after " +
         seconds_text(options.startup_limit) + " and is replaced");
  if (worker.state == WorkerState::starting) {
    kill(worker);
  } else {  // nobody knows its pid: the zygote itself is stuck
    base::kill_tree(zygote_of(worker).started.watcher_pid);
  }
  return base::Moment::max();
}

base::Moment Engine::State::check_worker(Worker& worker, base::Moment now) {
  constexpr base::Moment never = base::Moment::max();
  if (worker.state == WorkerState::dying && worker.ended) {
    const base::Moment limit = worker.died_at + kStatusPatience;
    if (now < limit) return limit;
    bury(worker);
    return never;
  }
  if (worker.state == WorkerState::forking || worker.state == WorkerState::starting) {
    return check_start(worker, now);
  }
  if (!is_up(worker)) return never;
  const base::Moment weigh = check_residue(worker, now);
  if (worker.stuck && worker.in_flight.empty()) {
    worker.stuck = worker.stopped();
    return worker.stuck ? now + kClaimPatience : weigh;
  }
  if (worker.in_flight.empty()) {
    worker.wire->trim(kWarmBytes);
    return weigh;
  }
  drain(worker);
  if (worker.in_flight.empty() || !is_up(worker)) return never;
  const base::Moment next = std::min({weigh, check_limits(worker, now), check_memory(worker, now)});
  if (worker.in_flight.empty() || !is_up(worker)) return next;
  return std::min(next, several() ? check_read_ahead(worker, now) : check_followers(worker, now));
}

// What waits behind an item that takes long, or with a worker that claims nothing, goes to others.
base::Moment Engine::State::check_followers(Worker& worker, base::Moment now) {
  const auto running = worker.running(now);
  if (running && worker.ahead <= 1) return base::Moment::max();
  if (running) {
    if (now - running->since < kLongItem) return running->since + kLongItem;
    worker.stuck = true;
    take_back(worker);
    harvest(worker);  // what is done need not wait for it
    return base::Moment::max();
  }
  const InFlight& front = worker.in_flight.front();
  const bool limited = timeout_of(*front.work).has_value();
  if (now - front.posted_at >= kClaimPatience && worker.stopped()) {
    worker.stuck = true;
    take_back(worker);
    if (limited) kill(worker);  // whoever set a limit does not want to wait for SIGCONT
  }
  return now + kClaimPatience;
}

void Engine::State::arm(base::Moment when) {
  if (when >= armed) return;
  armed = when;
  const std::uint64_t ns = std::max<std::uint64_t>(1, base::nanoseconds(when));
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Engine::State::notice(std::string line) {
  // Handed on like output, so that nothing foreign runs under the lock.
  if (options.on_notice) deferred.push_back({.lines = std::move(line)});
}

void Engine::State::wake_supervisor() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake.get(), &one, sizeof one);
}

}  // namespace pyhost::pool
