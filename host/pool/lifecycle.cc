// lifecycle.cc: how workers come to be, and what their end means for what they had.
//
// A death is known from the pidfd at once; how it came about (the status of waitpid) is told by the
// zygote a moment later. Items that were not claimed go back to the queue at the first, items that
// were claimed fail at the second.
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include <base/memory.h>
#include <base/oom.h>
#include <base/system.h>
#include <pool/identities.h>
#include <pool/state.h>

namespace pyhost::pool {
namespace {

// Workers in a row that do not come to be ready. More makes a hopeless set-up slow to say so.
constexpr int kMostStartFailures = 3;
// A pool that worked before waits this long for a shortage to pass, or for whoever kills its
// workers to stop.
constexpr base::Duration kLaterPatience = std::chrono::seconds(5);

// Doubles from 10 ms to 1 s; the first respawn is immediate.
base::Duration back_off(int failures) {
  if (failures <= 1) return base::Duration::zero();
  return std::chrono::milliseconds(std::min(1000, 10 << std::min(failures - 2, 7)));
}

}  // namespace

void Engine::State::watch_fd(int fd, Tag tag, std::size_t index) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = (static_cast<std::uint64_t>(tag) << 32) | index;
  epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
}

std::uint32_t Engine::State::next_identity() {
  if (identities >= static_cast<std::uint32_t>(worker_count)) return reserve_identities(1);
  return options.first_identity + identities++;
}

Result<void> Engine::State::spawn(Worker& worker, Zygote& zygote) {
  auto wire = wire::HostEnd::create(sizes);
  if (!wire.ok()) return std::move(wire).error();
  auto host_region = wire->share_host_region();
  if (!host_region.ok()) return std::move(host_region).error();
  auto worker_region = wire->share_worker_region();
  if (!worker_region.ok()) return std::move(worker_region).error();
  auto out = base::pipe();
  if (!out.ok()) return std::move(out).error();
  auto err = base::pipe();
  if (!err.ok()) return std::move(err).error();

  auto forensics = base::create_log("pyhost-forensics");
  if (!forensics.ok()) return std::move(forensics).error();

  std::array<int, process::kForkFds> fds{};
  fds[process::kHostRegionFd] = host_region->get();
  fds[process::kWorkerRegionFd] = worker_region->get();
  fds[process::kDoorbellFd] = doorbell.get();
  fds[process::kStdoutFd] = out->writer.get();
  fds[process::kStderrFd] = err->writer.get();
  fds[process::kForensicsFd] = forensics->get();
  worker.identity = next_identity();
  const process::WorkerSettings settings{.memory_bytes = options.memory,
                                         .concurrency = options.concurrency,
                                         .threads = static_cast<std::uint32_t>(options.threads),
                                         .own_arrays = options.own_arrays,
                                         .identity = worker.identity,
                                         .strict = options.on_crash == OnCrash::pool ? 1U : 0U};
  const auto kind = per_worker ? process::ControlKind::become : process::ControlKind::fork;
  auto sent = process::send_control(
      zygote.control.get(), {.kind = kind, .worker = worker.number},
      std::string_view(reinterpret_cast<const char*>(&settings), sizeof settings), fds);
  if (!sent.ok()) return std::move(sent).error();

  worker.wire = std::make_unique<wire::HostEnd>(std::move(*wire));
  worker.wants = 0;
  want(worker, wire::kRingBell);
  worker.out = OutputPipe(std::move(out->reader), options.lines);
  worker.err = OutputPipe(std::move(err->reader), options.lines);
  worker.forensics = base::HostFd(std::move(*forensics));
  watch_fd(worker.out.fd(), Tag::out, worker.number);
  watch_fd(worker.err.fd(), Tag::err, worker.number);
  worker.oom_kills = base::oom_kills();
  worker.started_at = base::now();
  arm(worker.started_at + options.startup_limit);
  worker.become(WorkerState::forking);
  zygote.used = per_worker;
  assign_pinned(worker);
  return {};
}

// One more worker did not come to be ready. Whether that is a loop by now.
bool Engine::State::start_failed() {
  ++start_failures;
  start_trouble = true;
  changed.notify_all();
  if (!any_ready) return start_failures >= kMostStartFailures;
  return start_failures > kMostStartFailures && base::now() - last_ready > kLaterPatience;
}

void Engine::State::on_spawn_failure(Worker& worker, Error error) {
  worker.respawn_at = base::now() + back_off(++worker.fruitless_deaths + 1);
  arm(worker.respawn_at);
  const bool others = std::any_of(workers.begin(), workers.end(), [](const Worker& other) {
    return other.state != WorkerState::absent;
  });
  const bool hopeless = start_failed();
  error.message = "no worker can be started: " + error.message;
  error.code = Code::startup;
  if (hopeless && !others) {
    fail_start(std::move(error));
  } else if (start_failures == kMostStartFailures) {
    notice(error.message + "; going on with the workers there are");
  }
}

// A worker ended, or was of no use, before it took calls.
void Engine::State::on_failed_start(const Worker& worker) {
  const bool hopeless = start_failed();
  const bool others = std::any_of(workers.begin(), workers.end(), [](const Worker& other) {
    return other.state == WorkerState::ready;
  });
  if (hopeless && !others) {
    fail_start(start_error(worker));
  } else if (others && start_failures == kMostStartFailures) {
    notice(start_error(worker).message + "; going on with the workers there are");
  }
}

void Engine::State::kill(Worker& worker) {
  // The pid is this process's while its pidfd says that it runs; later it may be another's.
  if (worker.pidfd && !base::wait_exit(worker.pidfd.get(), base::Deadline::in({}))) {
    base::kill_tree(worker.pid);
    worker.was_killed = true;
  }
  if (worker.state == WorkerState::dying) return;
  worker.become(WorkerState::dying);
  worker.died_at = base::now();
}

void Engine::State::on_death(Worker& worker) {
  worker.ended = true;
  worker.pidfd.reset();
  if (worker.wire) drain(worker);
  harvest(worker);
  collect_output(worker, Collect::all);
  if (worker.state != WorkerState::dying) {
    worker.become(WorkerState::dying);
    worker.died_at = base::now();
  }
  lose_in_flight(worker);
  drop_pinned(worker);
  pump();
  if (worker.status || zygote_of(worker).state != ZygoteState::ready) {
    bury(worker);
  } else {
    arm(worker.died_at + kStatusPatience);
  }
}

void Engine::State::lose_in_flight(Worker& worker) {
  if (!worker.wire) return;
  const wire::Claim claim = worker.wire->claim();
  const base::Moment now = base::now();
  // Batches are run in the order they were posted: before the claimed one everything was claimed.
  bool behind_claim = true;
  for (std::size_t i = worker.in_flight.size(); i-- > 0;) {
    InFlight& flight = worker.in_flight[i];
    std::uint32_t claimed = behind_claim ? 0 : flight.posted.end;
    if (flight.posted.batch == claim.batch) {
      behind_claim = false;
      claimed = std::min(claim.items, flight.posted.end);
    }
    // With several calls in flight the batch claimed last may be done, and gone, before earlier
    // ones.
    if (flight.started_ns != 0) claimed = flight.posted.end;
    for (std::uint32_t item = 0; item < claimed; ++item) {
      if (flight.done(item)) continue;
      --flight.outstanding;
      --worker.ahead;
      const std::uint64_t since = flight.started_ns != 0 ? flight.started_ns : claim.claimed_ns;
      Worker::Victim victim{.work = flight.work,
                            .item = flight.base + item,
                            .since = std::clamp(base::moment(since), flight.posted_at, now),
                            .call = call_text(worker, flight, flight.base + item)};
      if (const Stop* stop = worker.find_stop(flight, item)) victim.stop = *stop;
      if (retries_of(*flight.work) > 0) restore_payload(worker, flight);
      worker.victims.push_back(std::move(victim));
    }
    requeue(worker, flight, claimed, flight.posted.end);
    shared_bytes -= flight.posted.payload_bytes;
    --flight.work->flights;
  }
  for (const Worker::Victim& victim : worker.victims) ++victim.work->flights;
  worker.in_flight.clear();
}

// What a worker that broke the protocol had claimed fails; the rest goes to others when it is dead.
// Where its claim makes no sense either, everything it had fails: none of it may run twice.
void Engine::State::fail_claimed(Worker& worker, const Error& error) {
  const auto all = worker.all_running(base::now(), several());
  if (all.empty()) {
    fail_in_flight(worker, error);
    return;
  }
  worker.doom = error;  // of those that run once more when it is dead
  for (const Worker::Running& one : all) {
    const Ticket work = one.flight->work;
    const std::uint32_t item = one.flight->base + one.item;
    if (may_rerun(*work, item, error.code, nullptr)) continue;
    --one.flight->outstanding;
    --worker.ahead;
    --in_flight;
    fail(work, item, error, worker.number);
  }
}

// Everything the worker had fails, whether it ran or not.
void Engine::State::fail_in_flight(Worker& worker, const Error& error) {
  for (InFlight& flight : worker.in_flight) {
    for (std::uint32_t item = 0; item < flight.posted.end; ++item) {
      if (flight.done(item)) continue;
      --flight.outstanding;
      --worker.ahead;
      --in_flight;
      fail(flight.work, flight.base + item, error, worker.number);
    }
  }
}

void Engine::State::bury(Worker& worker) {
  const bool breaking = breaks(worker);
  if (breaking) break_pool(worker);
  for (const Worker::Victim& victim : worker.victims) {
    --in_flight;
    --victim.work->flights;
    Error error = crash_error(worker, victim);
    if (may_rerun(*victim.work, victim.item, error.code, nullptr)) {
      rerun(victim.work, victim.item);
    } else {
      fail(victim.work, victim.item, std::move(error), worker.number);
    }
  }
  const bool crashed = !stopping && !worker.retired;
  if (crashed && !worker.start_error) ++totals.crashes;
  if (breaking) end_others(&worker);
  if (crashed && !worker.was_ready) on_failed_start(worker);
  const bool fruitless = !worker.retired && worker.victims.empty();
  const int deaths = fruitless ? worker.fruitless_deaths + 1 : 0;
  const int number = worker.number;
  worker.become(WorkerState::absent);
  worker = Worker{};
  worker.number = number;
  worker.fruitless_deaths = deaths;
  worker.respawn_at = base::now() + back_off(deaths);
  if (!stopping) {
    arm(worker.respawn_at);
    if (crashed) ++totals.respawns;
    spawn_missing(base::now());
    pump();  // what runs once more
  }
  changed.notify_all();
}

// Nothing can ever run: everything queued fails now, everything submitted later at once.
void Engine::State::fail_start(Error error) {
  if (fatal) return;
  fatal = std::move(error);
  broken.store(true);
  fail_queued(*fatal);
  changed.notify_all();
}

}  // namespace pyhost::pool
