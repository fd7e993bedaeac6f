// concurrency.cc: several calls in flight on one worker, as coroutines or threads.
//
// Records hold one item each. A worker claims them in order, says `started` for each, and replies
// in any order; so whatever is in flight and claimed runs until its reply.
#include <algorithm>

#include <pool/state.h>

namespace pyhost::pool {
namespace {

// Items a worker has beyond those that may run: each is a record of its own, to be taken back one
// by one when the running ones take long.
constexpr double kMostReadAhead = 256;

}  // namespace

// As many items as may run, and what they will be done with in the next moments. Slow ones get
// nothing on top: another worker may come to them sooner.
std::uint32_t Engine::State::concurrent_credit(const Worker& worker,
                                               const Function& function) const {
  double most = options.concurrency;
  if (!worker.reads_no_ahead && function.item_seconds >= 0) {
    const double rate = options.concurrency / std::max(function.item_seconds, 1e-6);
    most += std::min(kAheadSeconds * rate, kMostReadAhead);
  }
  const auto limit = static_cast<std::uint32_t>(most);
  return !worker.stuck && worker.ahead < limit ? 1 : 0;
}

// What it did not claim goes to others when it waits for long behind what runs.
base::Moment Engine::State::check_read_ahead(Worker& worker, base::Moment now) {
  const auto waits = std::find_if(worker.in_flight.begin(), worker.in_flight.end(),
                                  [](const InFlight& flight) { return flight.started_ns == 0; });
  if (waits == worker.in_flight.end()) return base::Moment::max();
  const base::Duration waited = now - waits->posted_at;
  const bool full = worker.ahead > options.concurrency || worker.stuck;
  if (waited < (full ? kLongItem : kClaimPatience)) {
    return waits->posted_at + (full ? kLongItem : kClaimPatience);
  }
  if (full) {
    worker.reads_no_ahead = true;
    take_back(worker);
  } else if (worker.stopped()) {
    worker.stuck = true;
    const bool limited = timeout_of(*waits->work).has_value();
    take_back(worker);
    if (limited) kill(worker);  // whoever set a limit does not want to wait for SIGCONT
  }
  return now + kClaimPatience;
}

Result<void> Engine::State::accept_started(Worker& worker, InFlight& flight,
                                           const wire::Reply& reply) {
  if (flight.started_ns != 0 || !several()) {
    return Error(Code::protocol,
                 "reply from worker " + std::to_string(worker.number) +
                     " rejected: it said `started` for batch " + std::to_string(reply.batch) +
                     (several() ? " twice" : ", with one call in flight") + "; worker replaced");
  }
  flight.started_ns = std::clamp(reply.claimed_ns, base::nanoseconds(flight.posted_at),
                                 base::nanoseconds(base::now()));
  note_cpu(worker, flight);
  return {};
}

}  // namespace pyhost::pool
