// replies.cc: taking replies from the rings, and settling items exactly once.
#include <sys/socket.h>

#include <algorithm>
#include <cassert>

#include <pool/state.h>

namespace pyhost::pool {
namespace {

// A moving average follows a change of task length within a handful of replies.
constexpr double kAverageWeight = 0.2;

// What the host's account of a failure says of how the item ran, for those who ask the outcome.
void add_account(Outcome& outcome) {
  const Error& failure = *outcome.failure;
  outcome.attempts = std::max(outcome.attempts, failure.attempts);
  outcome.peak_memory = std::max(outcome.peak_memory, failure.peak_memory);
  if (outcome.claimed_ns != 0 || failure.seconds <= 0) return;
  outcome.claimed_ns = outcome.settled_ns - static_cast<std::uint64_t>(failure.seconds * 1e9);
}

}  // namespace

Error protocol_error(const Worker& worker, const std::string& what) {
  Error error(Code::protocol, "reply from worker " + std::to_string(worker.number) +
                                  " rejected: " + what + "; worker replaced");
  error.worker = worker.number;
  return error;
}

bool Engine::State::drain() {
  bool any = false;
  for (Worker& worker : workers) {
    // A worker may speak before the zygote has told of it: on_forked drains it then.
    if (!worker.wire || worker.mute || worker.state == WorkerState::forking) continue;
    if (worker.wire->replies_waiting()) any = drain(worker) || any;
  }
  if (any) pump();
  return any;
}

bool Engine::State::drain(Worker& worker) {
  bool any = false;
  // One round of the ring at most, so that a worker which writes without end is not read without
  // end.
  const std::size_t most = sizes.ring_bytes / sizeof(wire::Envelope);
  for (std::size_t i = 0; i < most && !worker.mute; ++i) {
    auto reply = worker.wire->next_reply();
    if (reply.ok() && !reply->has_value()) return any;
    any = true;
    const Result<void> accepted =
        reply.ok() ? accept(worker, std::move(**reply)) : Result<void>(std::move(reply).error());
    if (accepted.ok()) continue;
    worker.mute = true;
    if (worker.state == WorkerState::dying) break;
    // Nothing it says counts any more; its death settles what it had.
    notice(accepted.error().message);
    fail_claimed(worker, accepted.error());
    kill(worker);
  }
  return any;
}

Result<void> Engine::State::accept(Worker& worker, wire::Reply reply) {
  if (worker.initializer &&
      (reply.kind == wire::Kind::reply || reply.kind == wire::Kind::started)) {
    return accept_initializer(worker, reply);
  }
  switch (reply.kind) {
    case wire::Kind::ready:
      if (worker.state == WorkerState::starting && !worker.initializer) return greet(worker);
      if (worker.state != WorkerState::ready) return {};
      return protocol_error(worker, "it said `ready` twice");
    case wire::Kind::release:
      worker.wire->release_block(reply.block);
      return {};
    case wire::Kind::stopped:
      return accept_stopped(worker, reply);
    case wire::Kind::results:
      return accept_results(worker, std::move(reply));
    default:
      break;
  }
  const auto flight = flight_of(worker, reply.batch);
  if (flight == worker.in_flight.end()) {
    return protocol_error(worker, "batch " + std::to_string(reply.batch) + " is not in flight");
  }
  if (reply.item >= flight->posted.end) {
    return protocol_error(worker, "item " + std::to_string(reply.item) + " is not below " +
                                      std::to_string(flight->posted.end));
  }
  const std::uint32_t item = flight->base + reply.item;
  if (reply.kind == wire::Kind::started) return accept_started(worker, *flight, reply);
  if (flight->done(reply.item)) {
    if (is_late(worker, flight, reply.item) || worker.state == WorkerState::dying) return {};
    return protocol_error(worker, "item " + std::to_string(item) + " has its outcome already");
  }
  if (reply.status == wire::Status::ok) {
    if (auto fits = check_codec(worker, *flight->work, reply.codec); !fits) return fits;
  }
  if (reply.printed) collect_output(worker, Collect::before_reply);
  const std::uint64_t claimed_ns = measure(*flight, reply);
  flight->keep_block = flight->keep_block || reply.keeps;
  worker.unstick();
  worker.fruitless_deaths = 0;
  zygote_deaths = 0;
  --flight->outstanding;
  --worker.ahead;
  --in_flight;

  conclude(worker, *flight, std::move(reply), claimed_ns);
  if (flight->outstanding == 0) finish(worker, flight);
  return {};
}

// What a reply means for its item. Requires: the item is counted nowhere.
void Engine::State::conclude(Worker& worker, InFlight& flight, wire::Reply reply,
                             std::uint64_t claimed_ns) {
  Outcome outcome;
  outcome.ok = reply.status == wire::Status::ok;
  outcome.raised = !outcome.ok;
  outcome.marshal = reply.status == wire::Status::marshal;
  outcome.codec = reply.codec;
  outcome.payload = std::move(reply.payload);
  outcome.worker = worker.number;
  outcome.claimed_ns = claimed_ns;
  outcome.peak_memory = reply.peak_bytes;
  if (!worker.stops.empty()) judge(worker, flight, reply.item, outcome);
  if (reply.status == wire::Status::memory && outcome.raised) {
    judge_memory(worker, flight, reply.item, outcome);
  }
  if (outcome.ok) {
    outcome.attempts = attempts_of(*flight.work, flight.base + reply.item);
    settle(flight.work, flight.base + reply.item, std::move(outcome));
  } else {
    settle_or_rerun(worker, flight, reply.item, std::move(outcome));
  }
}

// The worker found, in the moment of its claim, that the item had been taken back.
Result<void> Engine::State::accept_stopped(Worker& worker, const wire::Reply& reply) {
  const auto flight = flight_of(worker, reply.batch);
  if (flight == worker.in_flight.end()) return {};  // all of it was taken back with certainty
  if (reply.item >= flight->posted.end || flight->work->settled(flight->base + reply.item)) {
    return {};
  }
  worker.unstick();
  requeue(worker, *flight, reply.item, flight->posted.end);
  flight->posted.end = reply.item;
  if (flight->outstanding == 0) finish(worker, flight);
  return {};
}

// Notes how long items take; returns when this one was claimed, as far as the worker is believed.
std::uint64_t Engine::State::measure(InFlight& flight, const wire::Reply& reply) {
  const base::Moment now = base::now();
  const std::uint64_t claimed =
      std::clamp(reply.claimed_ns, base::nanoseconds(flight.posted_at), base::nanoseconds(now));
  if (flight.replied++ == 0) flight.first_claim_ns = claimed;
  flight.last_claim_ns = claimed;
  if (flight.outstanding > 1) return claimed;
  // Between claims when there are several: then the wait for the host to look is not counted.
  const double seconds = flight.replied > 1
                             ? static_cast<double>(flight.last_claim_ns - flight.first_claim_ns) *
                                   1e-9 / (flight.replied - 1)
                             : std::chrono::duration<double>(now - base::moment(claimed)).count();
  average_in(functions[flight.work->batch.function], seconds);
  return claimed;
}

void Engine::State::average_in(Function& function, double seconds) {
  double& average = function.item_seconds;
  average = average < 0 ? seconds : average + kAverageWeight * (seconds - average);
}

// The only place where an item gets its outcome. Requires: it has none, and is counted nowhere.
void Engine::State::settle(const Ticket& work, std::uint32_t item, Outcome outcome) {
  assert(!work->settled(item));
  work->mark_settled(item);
  ++totals.settled;
  if (!outcome.ok) ++totals.failed;
  outcome.settled_ns = base::nanoseconds(base::now());
  if (outcome.failure) add_account(outcome);
  if (work->unsettled > 0) {
    deferred.push_back({.sink = work->batch.sink, .item = item, .outcome = std::move(outcome)});
  } else {
    // A sink may hold its ticket: let go of it, or the two keep each other alive.
    deferred.push_back(
        {.sink = std::move(work->batch.sink), .item = item, .outcome = std::move(outcome)});
    work->batch.payload = std::string();
  }
  if (idle()) changed.notify_all();
}

void Engine::State::fail(const Ticket& work, std::uint32_t item, Error error, int worker) {
  if (error.worker < 0) error.worker = worker;
  Outcome outcome;
  outcome.worker = worker;
  outcome.failure = std::make_shared<Error>(std::move(error));
  settle(work, item, std::move(outcome));
}

void Engine::State::finish(Worker& worker, std::deque<InFlight>::iterator flight) {
  worker.wire->finish(flight->posted, flight->keep_block);
  if (flight->posted.block != 0) arm(base::now() + kIdleTime);
  shared_bytes -= flight->posted.payload_bytes;
  --flight->work->flights;
  worker.in_flight.erase(flight);
  on_rest(worker);
}

void Engine::State::collect_output(Worker& worker, Collect what) {
  for (const Stream stream : {Stream::out, Stream::err}) {
    OutputPipe& pipe = stream == Stream::out ? worker.out : worker.err;
    std::string text;
    pipe.read(text, what == Collect::all);
    if (what == Collect::before_reply) pipe.pass_begun(text);
    arm(pipe.begun_until());
    if (text.empty()) continue;
    deferred.push_back({.worker = worker.number, .stream = stream, .lines = std::move(text)});
  }
}

base::Moment Engine::State::pass_begun_lines(Worker& worker, base::Moment now) {
  base::Moment next = base::Moment::max();
  for (const Stream stream : {Stream::out, Stream::err}) {
    OutputPipe& pipe = stream == Stream::out ? worker.out : worker.err;
    std::string text;
    if (pipe.begun_until() <= now) pipe.pass_begun(text);
    next = std::min(next, pipe.begun_until());
    if (text.empty()) continue;
    deferred.push_back({.worker = worker.number, .stream = stream, .lines = std::move(text)});
  }
  return next;
}

// Sinks and printed lines, in the order in which they came up, by one thread at a time.
void Engine::State::run_deferred(Lock& lock) {
  if (running_deferred) return;
  running_deferred = true;
  while (!deferred.empty()) {
    under_way.swap(deferred);
    lock.unlock();
    for (Deferred& one : under_way) {
      if (one.run) {
        one.sink->settle_run(std::move(*one.run));
      } else if (one.sink) {
        one.sink->settle(one.item, std::move(one.outcome));
      } else if (one.worker < 0) {
        options.on_notice(one.lines);
      } else if (options.on_output) {
        options.on_output(one.worker, one.stream, one.lines);
      }
    }
    under_way.clear();
    lock.lock();
  }
  running_deferred = false;
  if (finished) wake_supervisor();  // it waits for this
  if (idle()) changed.notify_all();
}

void Engine::State::want(Worker& worker, std::uint32_t wants) {
  if (worker.wants == wants) return;
  worker.wants = wants;
  worker.wire->set_wants(wants);
}

// From now on this thread looks by itself: workers need not ring.
void Engine::State::enter_polling() {
  if (pollers++ > 0) return;
  for (Worker& worker : workers) {
    if (worker.wire && worker.ahead > 0) want(worker, 0);
  }
}

// The last one to leave asks for the doorbell again, and looks once more for what came between.
void Engine::State::leave_polling() {
  if (--pollers > 0) return;
  for (Worker& worker : workers) {
    if (worker.wire) want(worker, wire::kRingBell);
  }
  drain();
}

}  // namespace pyhost::pool
