#include <pool/engine.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>

#include <base/memory.h>
#include <base/system.h>
#include <pool/identities.h>
#include <pool/sizes.h>
#include <pool/state.h>

namespace pyhost::pool {

Error closed_error() {
  return Error(Code::cancelled, "the pool is closed and accepts no calls; start a new one");
}

namespace {

// Longer limits are no limits: adding them to the present would leave the clock's range.
constexpr base::Duration kLongestTime = std::chrono::hours(24 * 365 * 10);

// A time that does not fit a clock is no limit.
bool is_bounded(const CallOptions& limits) {
  return limits.timeout.value_or(base::Duration()) <= kLongestTime &&
         limits.cpu.value_or(base::Duration()) <= kLongestTime &&
         limits.grace.value_or(base::Duration()) <= kLongestTime;
}

CallOptions bounded(CallOptions limits) {
  for (auto* limit : {&limits.timeout, &limits.cpu, &limits.grace}) {
    if (*limit && **limit > kLongestTime) limit->reset();
  }
  return limits;
}

void bound_times(Options& options) {
  options.startup_limit = std::min(options.startup_limit, kLongestTime);
  options.idle_time = std::clamp(options.idle_time, base::Duration::zero(), kLongestTime);
  if (options.max_worker_age.value_or(base::Duration()) > kLongestTime) {
    options.max_worker_age.reset();
  }
}

// A killed worker is gone within milliseconds; this bounds the wait for one the kernel cannot end.
constexpr base::Duration kKillPatience = std::chrono::seconds(5);

}  // namespace

void Event::set() {
  word_.store(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    base::futex_wake(word_, INT32_MAX, base::Sharing::one_process);
  }
}

Engine::Engine(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::shared_ptr<Engine>> Engine::start(Options options) {
  auto state = std::make_shared<State>();
  State& s = *state;
  const WorkerCount& wanted = options.workers;
  s.worker_count = wanted.max > 0 ? wanted.max : base::usable_cpus();
  const bool plain = wanted.max <= 0 && wanted.min <= 0;
  s.fewest = plain ? s.worker_count : std::clamp(wanted.min, 0, s.worker_count);
  s.target = s.fewest;
  s.per_worker = options.zygote_per_worker;
  s.options = std::move(options);
  s.options.limits = bounded(s.options.limits);
  if (s.options.threads <= 0) {
    s.options.threads = std::max(1, base::usable_cpus() / s.worker_count);
  }
  s.options.load.threads = s.options.threads;
  if (s.options.first_identity == 0) {
    s.options.first_identity = reserve_identities(static_cast<std::uint32_t>(s.worker_count));
  }
  if (s.options.concurrency > 1 && !s.options.load.packages.empty()) {
    // Each worker needs asyncio then: importing it once is a tenth of a second less for each.
    s.options.load.preload.emplace_back("pyhost._coroutines");
  }
  bound_times(s.options);
  if (s.options.max_shared_bytes == 0) s.options.max_shared_bytes = base::usable_memory() / 4;
  s.fork_generation = base::fork_generation();
  s.epoll = base::HostFd(base::UniqueFd(epoll_create1(EPOLL_CLOEXEC)));
  s.doorbell = base::HostFd(base::UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  s.wake = base::HostFd(base::UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  s.timer =
      base::HostFd(base::UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)));
  if (!s.epoll || !s.doorbell || !s.wake || !s.timer) {
    return base::system_error(Code::startup, "opening the pool's descriptors (see `ulimit -n`)",
                              errno);
  }
  s.watch_fd(s.doorbell.get(), Tag::doorbell, 0);
  s.watch_fd(s.wake.get(), Tag::wake, 0);
  s.watch_fd(s.timer.get(), Tag::timer, 0);
  s.armed = base::Moment::max();
  s.workers.resize(State::slots_for(s.options, s.worker_count));
  const auto sizes = sizes_within(base::address_space_left(), s.workers.size());
  if (!sizes.ok()) return sizes.error();
  s.sizes = *sizes;
  for (std::size_t i = 0; i < s.workers.size(); ++i) s.workers[i].number = static_cast<int>(i);
  s.zygotes.resize(s.per_worker ? s.workers.size() : 1);
  s.zygotes.front().wanted = true;
  s.random.seed(static_cast<unsigned>(base::nanoseconds(base::now())));
  // The first zygote is started here: a snapshot of the caller must see this thread's state.
  auto started = s.options.start_zygote();
  if (!started.ok()) return std::move(started).error();
  auto adopted = s.adopt(0, std::move(*started));
  if (!adopted.ok()) return std::move(adopted).error();
  const std::shared_ptr<Engine> engine(new Engine(state));
  if (const auto& first = s.options.initializer) {
    s.initializer = engine->define(first->definition_codec, first->definition, first->name);
  }
  if (auto supervised = s.start_supervisor(state); !supervised.ok()) return supervised.error();
  return engine;
}

Result<void> Engine::State::start_supervisor(const std::shared_ptr<State>& self) {
  try {
    supervisor = std::thread([self] { self->supervise(); });
  } catch (const std::system_error& failure) {
    Lock lock(mutex);
    closed = ending = supervisor_ended = true;
    shut_down(lock);
    return base::system_error(Code::startup,
                              "starting the pool's thread, which counts as a process",
                              failure.code().value());
  }
  return {};
}

Engine::~Engine() {
  if (state_->is_copy()) {
    // The thread and the processes belong to the process this one was forked from.
    new std::shared_ptr<State>(state_);
    return;
  }
  kill();
}

Result<void> Engine::ready() {
  State& s = *state_;
  if (s.is_copy()) return closed_error();
  State::Lock lock(s.mutex);
  const auto there = [&s] { return s.any_ready || (s.fewest == 0 && s.loaded); };
  s.changed.wait(lock, [&] { return there() || s.fatal || s.stopping; });
  if (s.fatal) return *s.fatal;
  if (!there()) return closed_error();
  return {};
}

std::uint32_t Engine::define(wire::Codec codec, std::string definition, std::string name) {
  State& s = *state_;
  if (s.is_copy()) return 0;
  std::string key = static_cast<char>('0' + static_cast<int>(codec)) + definition;
  const State::Lock lock(s.mutex);
  const auto [known, is_new] = s.function_numbers.try_emplace(
      std::move(key), static_cast<std::uint32_t>(s.functions.size()));
  if (is_new) {
    s.functions.push_back(
        {.codec = codec, .definition = std::move(definition), .name = std::move(name)});
  }
  return known->second;
}

Ticket Engine::submit(Batch batch) {
  State& s = *state_;
  auto work = std::make_shared<Submitted>();
  work->unsettled = batch.count;
  if (batch.count != 1) work->settled_many.resize(batch.count);
  work->batch = std::move(batch);
  if (work->batch.limits && !is_bounded(*work->batch.limits)) {
    work->batch.limits = std::make_shared<const CallOptions>(bounded(*work->batch.limits));
  }
  if (s.is_copy()) return work;
  State::Lock lock(s.mutex);
  if (s.closed || s.fatal) {
    const Error error = s.fatal ? *s.fatal : closed_error();
    for (std::uint32_t i = 0; i < work->batch.count; ++i) s.fail(work, i, error, -1);
  } else {
    s.enqueue({work, 0, work->batch.count}, false);
    s.pump();
  }
  s.run_deferred(lock);
  return work;
}

std::uint32_t Engine::cancel(const Ticket& ticket, std::optional<std::uint32_t> item, bool force) {
  State& s = *state_;
  if (!ticket || s.is_copy()) return 0;
  State::Lock lock(s.mutex);
  if (item && *item >= ticket->batch.count) return 0;
  const std::uint32_t count = s.cancel(ticket, item, force);
  s.pump();
  s.run_deferred(lock);
  return count;
}

void Engine::cancel_waiting() {
  State& s = *state_;
  if (s.is_copy()) return;
  State::Lock lock(s.mutex);
  s.cancel_waiting();
  s.pump();
  s.run_deferred(lock);
}

bool Engine::is_running(const Ticket& ticket, std::uint32_t item) {
  State& s = *state_;
  if (!ticket || s.is_copy()) return false;
  State::Lock lock(s.mutex);
  if (item >= ticket->batch.count || ticket->flights == 0) return false;
  s.drain();
  const bool running = s.is_running(ticket, item);
  s.run_deferred(lock);
  return running;
}

std::vector<Ticket> Engine::broadcast(Batch batch) {
  State& s = *state_;
  if (s.is_copy()) return {};
  State::Lock lock(s.mutex);
  std::vector<Ticket> tickets = s.broadcast(std::move(batch));
  s.pump();
  s.run_deferred(lock);
  return tickets;
}

std::uint32_t Engine::suggested_count(std::uint32_t function) const {
  const State& s = *state_;
  if (s.is_copy()) return 1;
  const State::Lock lock(s.mutex);
  if (function >= s.functions.size()) return 1;
  const double seconds = s.functions[function].item_seconds;
  if (seconds < 0) return 1;
  return static_cast<std::uint32_t>(
      std::clamp(kBatchSeconds / std::max(seconds, kLeastSeconds), 1.0, 32768.0));
}

Wait Engine::wait(Event& event, base::Deadline deadline) {
  State& s = *state_;
  assert(!on_supervisor());
  if (event.is_set()) return Wait::set;
  if (s.is_copy()) return Wait::timed_out;
  thread_local wire::Spin spin;
  State::Lock lock(s.mutex);
  s.enter_polling();
  s.drain();
  s.run_deferred(lock);
  lock.unlock();
  spin.until([&] {
    if (event.is_set()) return true;
    State::Lock attempt(s.mutex, std::try_to_lock);
    if (!attempt.owns_lock()) return false;
    if (s.drain()) s.run_deferred(attempt);
    return event.is_set();
  });
  lock.lock();
  s.leave_polling();
  s.run_deferred(lock);
  lock.unlock();
  if (event.is_set()) return Wait::set;

  event.sleepers_.fetch_add(1, std::memory_order_seq_cst);
  const bool in_time = base::futex_wait(event.word_, 0, deadline, base::Sharing::one_process);
  event.sleepers_.fetch_sub(1, std::memory_order_relaxed);
  if (event.is_set()) return Wait::set;
  return in_time ? Wait::interrupted : Wait::timed_out;
}

void Engine::continue_on_supervisor(std::function<void()> continuation) {
  State& s = *state_;
  if (s.is_copy()) return;
  {
    const State::Lock lock(s.mutex);
    if (!s.supervisor_ended) {
      s.continuations.push_back(std::move(continuation));
      s.wake_supervisor();
      return;
    }
  }
  continuation();  // there is no supervisor any more, nor a pool to wait for
}

bool Engine::on_supervisor() const {
  return state_->supervisor.get_id() == std::this_thread::get_id();
}

// Whether this thread is the one to end the pool. Others wait here until it has ended.
bool Engine::State::claim_end(Lock& lock) {
  if (ending) {
    changed.wait(lock, [this] { return has_ended; });
    return false;
  }
  ending = true;
  return true;
}

// Retires the workers, or kills them; requires that nothing is queued or running.
void Engine::State::stop_workers(Lock& lock, bool kill_now) {
  stopping = true;
  for (Worker& worker : workers) {
    if (worker.state == WorkerState::absent || worker.state == WorkerState::dying) continue;
    if (worker.state == WorkerState::forking) continue;  // killed when it turns up
    if (!kill_now && worker.state == WorkerState::retiring) continue;
    if (!kill_now && worker.state == WorkerState::ready && worker.wire->post_retire()) {
      worker.wire->notify();
      worker.become(WorkerState::retiring);
    } else {
      kill(worker);
    }
  }
  // Zygotes end with their last worker: now, not when somebody here has noticed that it ended.
  for (const Zygote& zygote : zygotes) {
    if (!zygote.control) continue;
    (void)process::send_control(zygote.control.get(), {.kind = process::ControlKind::stop});
  }
  const auto ended = [this] {
    return std::all_of(workers.begin(), workers.end(), [](const Worker& worker) {
      return worker.state == WorkerState::absent || worker.ended;
    });
  };
  if (changed.wait_for(lock, kill_now ? kKillPatience : options.retire_grace, ended)) return;
  for (Worker& worker : workers) {
    if (worker.alive()) kill(worker);
  }
  changed.wait_for(lock, kKillPatience, ended);
}

// What has no outcome yet when no worker is left to give it one.
void Engine::State::settle_rest(const Error& error) {
  for (Worker& worker : workers) {
    for (const Worker::Victim& victim : worker.victims) {
      --in_flight;
      --victim.work->flights;
      fail(victim.work, victim.item, crash_error(worker, victim), worker.number);
    }
    worker.victims.clear();
    fail_in_flight(worker, error);
  }
  fail_queued(error);
}

void Engine::State::shut_down(Lock& lock) {
  finished = true;
  wake_supervisor();
  lock.unlock();
  if (supervisor.joinable()) supervisor.join();  // else it could not be started
  lock.lock();
  for (Zygote& zygote : zygotes) {
    if (zygote.started.watcher_pid < 0) continue;
    process::Started started{.control = zygote.control.take(),
                             .watcher = zygote.watcher.take(),
                             .watcher_pid = zygote.started.watcher_pid};
    process::shut_down(started, base::Deadline::in(kKillPatience));
    zygote = Zygote{};
    zygote.state = ZygoteState::dead;
  }
  run_deferred(lock);
  has_ended = true;
  changed.notify_all();
}

bool Engine::drain(base::Deadline deadline) {
  State& s = *state_;
  if (s.is_copy() || on_supervisor()) return false;
  State::Lock lock(s.mutex);
  s.closed = true;
  // What an initializer does may be all that was wanted of the workers.
  const auto prepared = [&s] {
    // With fewer than were wanted, when the others cannot be had.
    return !s.options.initializer || s.all_ready || s.fatal || s.all_are_ready() ||
           (s.start_trouble && s.any_ready);
  };
  const auto settled = [&s, &prepared] {
    return s.ending || (s.idle() && s.deferred.empty() && !s.running_deferred && prepared());
  };
  bool clean = true;
  if (deadline.endless()) {
    s.changed.wait(lock, settled);
  } else {
    clean = s.changed.wait_until(lock, deadline.moment(), settled);
  }
  if (!clean) {
    lock.unlock();
    kill();
    return false;
  }
  if (!s.claim_end(lock)) return true;
  s.stop_workers(lock, false);
  s.settle_rest(closed_error());
  s.shut_down(lock);
  return true;
}

void Engine::kill() {
  if (state_->is_copy()) return;
  if (!on_supervisor()) {
    state_->kill_all();
    return;
  }
  // A continuation dropped the last reference: the supervisor cannot wait for itself.
  try {
    std::thread([state = state_] { state->kill_all(); }).detach();
  } catch (const std::system_error&) {
    // There can be no more threads: the pool does nothing any more, and ends with this process.
    const State::Lock lock(state_->mutex);
    state_->closed = true;
  }
}

void Engine::State::kill_all() {
  State& s = *this;
  State::Lock lock(s.mutex);
  s.closed = true;
  if (!s.claim_end(lock)) return;
  const Error error(Code::cancelled, "the pool was shut down before the call finished");
  s.fail_queued(error);
  for (Worker& worker : s.workers) {
    if (worker.wire && worker.state != WorkerState::dying) {
      s.take_back(worker);
      s.drain(worker);
    }
    if (worker.in_flight.empty() || worker.state == WorkerState::dying) continue;
    s.fail_in_flight(worker, error);
    s.kill(worker);
  }
  s.fail_queued(error);
  s.run_deferred(lock);
  s.stop_workers(lock, true);
  s.settle_rest(error);
  s.shut_down(lock);
}

Stats Engine::stats() const {
  const State& s = *state_;
  if (s.is_copy()) return {};
  const State::Lock lock(s.mutex);
  Stats stats = s.totals;
  stats.queued = s.queued + s.pinned;
  stats.in_flight = s.in_flight;
  for (const Worker& worker : s.workers) {
    if (!worker.alive()) continue;
    ++stats.workers;
    if (!worker.in_flight.empty()) ++stats.busy;
    stats.pids.push_back(worker.pid);
  }
  return stats;
}

int Engine::workers() const {
  return state_->worker_count;
}

int Engine::calls_at_once() const {
  return state_->worker_count * static_cast<int>(state_->options.concurrency);
}

}  // namespace pyhost::pool
