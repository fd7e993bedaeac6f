// limits.cc: making a running item stop, for a cancel, a deadline or a CPU limit.
//
//                 limit reached, cancel(force)
//    runs ------------------------------------> asked to stop: a Stop holds its verdict
//      interrupt word and signal: an             |
//      exception in the call                     | replies (an exception, or even a result)
//                                                |------------------> settles as the verdict
//                                                | grace period over
//                                                +--> the worker is killed, settles as the verdict
//
// 1. With one call in flight, everything behind the item is taken back when it is asked to stop, so
//    that the kill loses nothing else.
// 2. With several, the caller is told at its limit, stopped or not, since a thread cannot be ended
//    alone. The worker gets nothing new; what else it ran when it is killed fails as collateral.
// 3. An item that is to run once more is not told before its worker can no longer run it.
#include <time.h>

#include <algorithm>

#include <base/system.h>
#include <pool/state.h>
#include <pool/words.h>

namespace pyhost::pool {
namespace {

// From the exception to SIGKILL. Shorter kills workers in the middle of a clean-up; longer keeps a
// CPU busy with what nobody wants.
constexpr base::Duration kGrace = std::chrono::seconds(1);
// With several calls in flight: how long an answer to the exception is waited for before the caller
// is told without it. Longer is late, shorter loses tracebacks.
constexpr base::Duration kSoftAnswer = std::chrono::milliseconds(20);
// CPU time is looked at no more often than this.
constexpr base::Duration kCpuLook = std::chrono::milliseconds(1);

// How many times faster than the clock on the wall a worker's CPU time can run.
int cpus() {
  static const int count = std::max(1, base::usable_cpus());
  return count;
}

std::uint64_t cpu_clock(const Worker& worker) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(worker.pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  // Read first, then checked: the pid is this process's as long as its pidfd says that it runs.
  if (!worker.pidfd || base::wait_exit(worker.pidfd.get(), base::Deadline::in({}))) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

base::Duration Engine::State::grace_of(const Submitted& work) const {
  const CallOptions* limits = work.batch.limits.get();
  if (limits != nullptr && limits->grace) return *limits->grace;
  return options.limits.grace.value_or(kGrace);
}

// The timer is to fire when an item posted now can have reached its limits.
void Engine::State::arm_limits(const Submitted& work, base::Moment now) {
  if (const auto limit = timeout_of(work)) arm(now + *limit);
  if (const auto limit = cpu_of(work)) arm(now + *limit / cpus());
  if (options.memory > 0) arm(now + kLongItem);
}

// CPU time of the worker since it claimed the item.
base::Duration Engine::State::cpu_used(const Worker& worker, const Worker::Running& one) const {
  InFlight& flight = *one.flight;
  const std::uint64_t clock = cpu_clock(worker);
  if (flight.cpu_item != one.item + 1) {
    // What the worker wrote is no more than it had used when first looked at.
    flight.cpu_item = one.item + 1;
    flight.cpu_ns = one.cpu_ns == 0 ? clock : std::min(one.cpu_ns, clock);
  }
  return base::Duration(clock > flight.cpu_ns ? clock - flight.cpu_ns : 0);
}

void Engine::State::note_cpu(const Worker& worker, InFlight& flight) const {
  if (!cpu_of(*flight.work)) return;
  flight.cpu_item = 1;
  flight.cpu_ns = cpu_clock(worker);
}

// Asks what is over its limits to stop, tells and kills where the time for that has come. Returns
// when to look again.
base::Moment Engine::State::check_limits(Worker& worker, base::Moment now) {
  struct Due {
    Ticket work;
    std::uint32_t item;
    Stop stop;
  };
  std::vector<Due> due;
  base::Moment next = base::Moment::max();
  for (const Worker::Running& one : worker.all_running(now, several())) {
    if (worker.find_stop(*one.flight, one.item) != nullptr) continue;
    const Ticket& work = one.flight->work;
    const std::uint32_t item = one.flight->base + one.item;
    if (const auto limit = timeout_of(*work)) {
      if (now - one.since >= *limit) {
        due.push_back({work, item, timeout_stop(*work, *limit)});
        continue;
      }
      next = std::min(next, one.since + *limit);
    }
    if (const auto limit = cpu_of(*work)) {
      const base::Duration used = cpu_used(worker, one);
      if (used >= *limit) {
        due.push_back({work, item, cpu_stop(*work, used, *limit)});
        continue;
      }
      next = std::min(next, now + std::max(kCpuLook, (*limit - used) / cpus()));
    }
  }
  for (Due& one : due) {
    if (is_up(worker)) ask_to_stop(worker, one.work, one.item, std::move(one.stop));
  }
  return is_up(worker) ? std::min(next, check_stops(worker, base::now())) : base::Moment::max();
}

base::Moment Engine::State::check_stops(Worker& worker, base::Moment now) {
  base::Moment next = base::Moment::max();
  for (Stop& stop : worker.stops) {
    if (now >= stop.kill_at) {
      put_down(worker);
      return base::now() + kCpuLook;  // where it had replied meanwhile, look at the others
    }
    next = std::min(next, stop.kill_at);
    if (stop.told) continue;
    if (now >= stop.tell_at && !may_rerun(*stop.work, stop.item, stop.verdict.code, nullptr)) {
      tell(worker, stop, false);
    } else if (now < stop.tell_at) {
      next = std::min(next, stop.tell_at);
    }
  }
  return next;
}

Stop Engine::State::timeout_stop(const Submitted& work, base::Duration limit) const {
  Stop stop;
  stop.verdict.code = Code::timeout;
  stop.verdict.message =
      "the call of " + name_of(work) + " exceeded its limit of " + seconds_text(limit);
  stop.advice = "raise the timeout, or make the call shorter";
  return stop;
}

Stop Engine::State::cpu_stop(const Submitted& work, base::Duration used,
                             base::Duration limit) const {
  Stop stop;
  stop.verdict.code = Code::cpu;
  stop.verdict.message = "the call of " + name_of(work) + " used " + seconds_text(used) +
                         " of CPU time, its limit is " + seconds_text(limit);
  stop.advice = "raise the CPU limit, or make the call shorter";
  return stop;
}

// `stop` comes with verdict and advice. False: the item does not run (any more), or is about to
// stop for another reason.
bool Engine::State::ask_to_stop(Worker& worker, const Ticket& ticket, std::uint32_t item,
                                Stop stop) {
  // A copy, as the caller's may lie in a part that is taken back here.
  const Ticket work = ticket;  // NOLINT(performance-unnecessary-copy-initialization)
  if (!several()) take_back(worker);
  drain(worker);
  if (!is_up(worker)) return false;
  const base::Moment now = base::now();
  const auto all = worker.all_running(now, several());
  const auto one = std::find_if(all.begin(), all.end(), [&](const Worker::Running& running) {
    return running.flight->work == work && running.flight->base + running.item == item;
  });
  if (one == all.end() || worker.find_stop(*one->flight, one->item) != nullptr) return false;
  stop.work = work;
  stop.item = item;
  stop.batch = one->flight->posted.batch;
  stop.since = one->since;
  const base::Duration grace = grace_of(*work);
  stop.kill_at = now + grace;
  const bool tells = several() && stop.verdict.code != Code::cancelled;
  stop.tell_at = tells ? now + std::min(grace, kSoftAnswer) : stop.kill_at;
  worker.stuck = worker.stuck || !several();
  arm(stop.tell_at);
  worker.stops.push_back(std::move(stop));
  if (grace <= base::Duration::zero()) {
    put_down(worker);
    return true;
  }
  clear_forensics(worker);
  worker.wire->interrupt(one->flight->posted, one->item);
  base::send_signal(worker.pidfd.get(), process::interrupt_signal());
  return true;
}

// The item gets its verdict while it still runs: nothing it says later counts.
void Engine::State::tell(Worker& worker, Stop& stop, bool killed) {
  const auto flight = std::find_if(worker.in_flight.begin(), worker.in_flight.end(),
                                   [&](const InFlight& f) { return f.posted.batch == stop.batch; });
  stop.told = true;
  worker.stuck = true;
  if (flight == worker.in_flight.end() || flight->done(stop.item - flight->base)) return;
  Error error = verdict(worker, stop, killed);
  error.call = call_text(worker, *flight, stop.item);
  --flight->outstanding;
  --worker.ahead;
  --in_flight;
  fail(stop.work, stop.item, std::move(error), worker.number);
}

// What an item that was asked to stop settles as.
Error Engine::State::verdict(Worker& worker, const Stop& stop, bool killed) {
  Error error = stop.verdict;
  if (killed) {
    error.message += "; it did not stop within " + seconds_text(grace_of(*stop.work)) +
                     " of being asked to, so worker " + std::to_string(worker.number) + " (pid " +
                     std::to_string(worker.pid) + ") was killed";
  }
  if (!stop.advice.empty()) error.message += "; " + stop.advice;
  error.worker = worker.number;
  error.seconds = std::chrono::duration<double>(base::now() - stop.since).count();
  error.attempts = attempts_of(*stop.work, stop.item);
  error.stack = take_stack(worker);
  error.stderr_tail = worker.err.tail();
  return error;
}

// Kills the worker, as an item did not stop in time.
void Engine::State::put_down(Worker& worker) {
  take_back(worker);  // from here on it claims nothing new, so that nothing else can be lost
  drain(worker);
  const base::Moment now = base::now();
  const auto due = [now](const Stop& stop) { return now >= stop.kill_at; };
  const auto culprit = std::find_if(worker.stops.begin(), worker.stops.end(), due);
  if (!is_up(worker) || culprit == worker.stops.end()) return;
  Error doom(Code::worker_crashed, "worker " + std::to_string(worker.number) + " (pid " +
                                       std::to_string(worker.pid) +
                                       ") was killed because another of its calls, " +
                                       name_of(*culprit->work) + ", did not stop when asked to");
  worker.doom = std::move(doom);
  for (Stop& stop : worker.stops) {
    if (stop.told || may_rerun(*stop.work, stop.item, stop.verdict.code, nullptr)) continue;
    tell(worker, stop, true);
  }
  kill(worker);
}

// A reply to an item that was asked to stop comes to its verdict.
void Engine::State::judge(Worker& worker, const InFlight& flight, std::uint32_t wire_item,
                          Outcome& outcome) {
  Stop* stop = worker.find_stop(flight, wire_item);
  if (stop == nullptr) return;
  Error error = verdict(worker, *stop, false);
  error.call = call_text(worker, flight, stop->item);
  if (outcome.raised) error.traceback = outcome.error().traceback;
  worker.stops.erase(worker.stops.begin() + (stop - worker.stops.data()));
  outcome.ok = false;
  outcome.raised = false;
  outcome.marshal = false;
  outcome.payload = std::string();
  outcome.failure = std::make_shared<Error>(std::move(error));
}

// Whether this is the reply of an item whose caller was told before; it is over with then.
bool Engine::State::is_late(Worker& worker, std::deque<InFlight>::iterator flight,
                            std::uint32_t wire_item) {
  const Stop* stop = worker.find_stop(*flight, wire_item);
  if (stop == nullptr || !stop->told) return false;
  worker.stops.erase(worker.stops.begin() + (stop - worker.stops.data()));
  worker.unstick();
  if (flight->outstanding == 0) finish(worker, flight);
  return true;
}

}  // namespace pyhost::pool
