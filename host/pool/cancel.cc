// cancel.cc: taking calls back that are not wanted any more.
#include <algorithm>

#include <pool/state.h>

namespace pyhost::pool {
namespace {

constexpr const char* kCancelled = "the call was cancelled before it finished";

}  // namespace

// Whether the item is with a worker, or was when that died.
bool Engine::State::is_away(const Ticket& ticket, std::uint32_t item) const {
  if (ticket->flights == 0) return false;
  for (const Worker& worker : workers) {
    for (const InFlight& flight : worker.in_flight) {
      if (flight.work != ticket || item < flight.base) continue;
      if (item - flight.base >= flight.posted.end) continue;
      if (!flight.done(item - flight.base)) return true;
    }
    for (const Worker::Victim& victim : worker.victims) {
      if (victim.work == ticket && victim.item == item) return true;
    }
  }
  return false;
}

// Whether the item is claimed, or was when its worker died, and has no outcome.
bool Engine::State::is_running(const Ticket& ticket, std::uint32_t item) {
  if (ticket->settled(item)) return false;
  for (Worker& worker : workers) {
    for (const Worker::Victim& victim : worker.victims) {
      if (victim.work == ticket && victim.item == item) return true;
    }
    for (const Worker::Running& one : worker.all_running(base::now(), several())) {
      if (one.flight->work == ticket && one.flight->base + one.item == item) return true;
    }
  }
  return false;
}

// Cancels those of the wanted items that are with no worker. Their parts are skipped later.
std::uint32_t Engine::State::cancel_queued(const Ticket& ticket,
                                           std::optional<std::uint32_t> item) {
  const std::uint32_t first = item.value_or(0);
  const std::uint32_t end = item ? *item + 1 : ticket->batch.count;
  std::uint32_t count = 0;
  for (std::uint32_t i = first; i < end; ++i) {
    if (ticket->settled(i) || is_away(ticket, i)) continue;
    if (ticket->broadcast != 0) {
      unpin(ticket);
    } else {
      --queued;
    }
    fail(ticket, i, Error(Code::cancelled, kCancelled), -1);
    ++count;
  }
  return count;
}

// Items that would run once more, when their worker is dead or they stopped: they do not.
std::uint32_t Engine::State::cancel_reruns(Worker& worker, const Ticket& ticket,
                                           std::optional<std::uint32_t> item) {
  std::uint32_t count = 0;
  const auto wanted = [&](const auto& one) {
    return one.work == ticket && (!item || one.item == *item);
  };
  for (Worker::Victim& victim : worker.victims) {
    if (!wanted(victim)) continue;
    const Code code = victim.stop ? victim.stop->verdict.code : Code::worker_crashed;
    if (!may_rerun(*ticket, victim.item, code, nullptr)) continue;
    victim.stop.emplace();
    victim.stop->work = ticket;
    victim.stop->item = victim.item;
    victim.stop->since = victim.since;
    victim.stop->verdict = Error(Code::cancelled, kCancelled);
    ++count;
  }
  for (Stop& stop : worker.stops) {
    if (stop.told || !wanted(stop)) continue;
    if (may_rerun(*ticket, stop.item, stop.verdict.code, nullptr)) {
      stop.verdict = Error(Code::cancelled, kCancelled);
      stop.advice.clear();
    }
    count += stop.verdict.code == Code::cancelled ? 1 : 0;
  }
  return count;
}

std::uint32_t Engine::State::cancel(const Ticket& ticket, std::optional<std::uint32_t> item,
                                    bool force) {
  // What is posted but not claimed comes back to the queue, where it can be cancelled.
  for (Worker& worker : workers) {
    if (ticket->flights == 0) break;
    const bool here = std::any_of(worker.in_flight.begin(), worker.in_flight.end(),
                                  [&](const InFlight& flight) { return flight.work == ticket; });
    if (here && worker.wire) take_back(worker);
  }
  std::uint32_t count = cancel_queued(ticket, item);
  for (Worker& worker : workers) {
    if (ticket->flights == 0) break;
    count += cancel_reruns(worker, ticket, item);
    if (!force || !is_up(worker)) continue;
    drain(worker);
    std::vector<std::uint32_t> runs;
    for (const Worker::Running& one : worker.all_running(base::now(), several())) {
      const std::uint32_t number = one.flight->base + one.item;
      if (one.flight->work == ticket && (!item || number == *item)) runs.push_back(number);
    }
    for (const std::uint32_t number : runs) {
      Stop stop;
      stop.verdict = Error(Code::cancelled, kCancelled);
      if (is_up(worker) && ask_to_stop(worker, ticket, number, std::move(stop))) ++count;
    }
  }
  return count;
}

// What no worker has come to. A call for which there is a worker, which is only still asleep or
// being started, has begun for whoever submitted it.
void Engine::State::cancel_waiting() {
  for (Worker& worker : workers) {
    if (!is_up(worker)) continue;
    take_back(worker);
    drain(worker);
  }
  const std::uint64_t places = static_cast<std::uint64_t>(target) * options.concurrency;
  fail_queue(Error(Code::cancelled, kCancelled), places > in_flight ? places - in_flight : 0);
}

}  // namespace pyhost::pool
