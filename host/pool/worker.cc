#include <pool/worker.h>

#include <sys/wait.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include <base/system.h>

namespace pyhost::pool {

bool can_become(WorkerState from, WorkerState to) {
  using enum WorkerState;
  switch (from) {
    case absent:
      return to == forking;
    case forking:
      return to == starting || to == absent || to == dying;
    case starting:
      return to == ready || to == dying || to == retiring;
    case ready:
      return to == retiring || to == dying;
    case retiring:
      return to == dying;
    case dying:
      return to == absent;
  }
  return false;
}

void Worker::become(WorkerState next) {
  assert(can_become(state, next));
  state = next;
}

std::optional<Worker::Running> Worker::running(base::Moment now) {
  if (!wire || in_flight.empty()) return std::nullopt;
  const wire::Claim claim = wire->claim();
  for (InFlight& flight : in_flight) {
    if (flight.posted.batch != claim.batch) continue;
    const std::uint32_t item = claim.items - 1;
    if (item >= flight.posted.end) return std::nullopt;
    if (flight.done(item)) return std::nullopt;
    // The worker wrote the moment; hold it to what is possible.
    const base::Moment since = std::clamp(base::moment(claim.claimed_ns), flight.posted_at, now);
    return Running{.flight = &flight, .item = item, .since = since, .cpu_ns = claim.cpu_ns};
  }
  return std::nullopt;
}

std::vector<Worker::Running> Worker::all_running(base::Moment now, bool several) {
  std::vector<Running> all;
  if (!several) {
    if (const auto one = running(now)) all.push_back(*one);
    return all;
  }
  for (InFlight& flight : in_flight) {
    if (flight.started_ns == 0 || flight.done(0)) continue;
    all.push_back({.flight = &flight, .since = base::moment(flight.started_ns)});
  }
  return all;
}

Stop* Worker::find_stop(const InFlight& flight, std::uint32_t wire_item) {
  const auto found = std::find_if(stops.begin(), stops.end(), [&](const Stop& stop) {
    return stop.batch == flight.posted.batch && stop.item == flight.base + wire_item;
  });
  return found == stops.end() ? nullptr : &*found;
}

bool Worker::stopped() const {
  const Result<std::string> stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return false;
  const std::size_t name_end = stat->rfind(") ");  // the name itself may hold anything
  if (name_end == std::string::npos || name_end + 2 >= stat->size()) return false;
  const char letter = (*stat)[name_end + 2];
  return letter == 'T' || letter == 't';
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = sigabbrev_np(number);
    return "was killed by " +
           (name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number));
  }
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace pyhost::pool
