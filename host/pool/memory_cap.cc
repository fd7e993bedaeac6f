// memory_cap.cc: the cap on what a worker and everything below it may hold.
//
// Three lines of defence. The worker has RLIMIT_DATA, so that Python raises MemoryError where it
// can: the call fails, softly. What goes around that (children, mappings) is seen here, a few times
// a tenth of a second, and the worker is killed. Beyond that there is the kernel's own.
#include <algorithm>

#include <base/system.h>
#include <pool/state.h>
#include <pool/words.h>

namespace pyhost::pool {
namespace {

// How often a busy worker is weighed. Halved, the look itself shows in profiles of short calls;
// doubled, a worker that fills memory at full speed is seen some GiB later.
constexpr base::Duration kWeigh = std::chrono::milliseconds(50);

// After its reply a worker still holds what the call left; it lets go of it in much less than this.
constexpr base::Duration kSettle = std::chrono::milliseconds(5);

}  // namespace

// What it held before its first call is the script's, and shared with the zygote for the most part.
void Engine::State::note_memory(Worker& worker) {
  if (options.memory == 0) return;
  worker.memory_at_start = base::private_bytes(worker.pid);
  worker.shared_at_start = base::proportional_bytes(worker.pid).value_or(0);
}

// Memory of the worker and all its children that nobody else shares.
std::uint64_t Engine::State::memory_of(const Worker& worker) const {
  const auto growth = [](std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
  };
  const std::uint64_t own = growth(base::private_bytes(worker.pid), worker.memory_at_start);
  const std::vector<pid_t> below = base::descendants(worker.pid);
  if (below.empty()) return own;
  std::uint64_t most = own;
  for (const pid_t child : below) most += base::private_bytes(child);
  if (most <= options.memory) return most;
  // Pages that a fork shares were counted once per process. Counting shares is exact but walks all
  // page tables, so it is done only where it matters.
  std::uint64_t shares = base::proportional_bytes(worker.pid).value_or(0);
  for (const pid_t child : below) shares += base::proportional_bytes(child).value_or(0);
  return shares == 0 ? most : std::min(most, growth(shares, worker.shared_at_start));
}

base::Moment Engine::State::check_memory(Worker& worker, base::Moment now) {
  if (options.memory == 0 || !is_up(worker)) return base::Moment::max();
  if (now < worker.weigh_at) return worker.weigh_at;
  worker.weigh_at = now + kWeigh;
  const std::uint64_t held = memory_of(worker);
  if (held <= options.memory) return worker.weigh_at;
  take_back(worker);
  drain(worker);
  if (!is_up(worker)) return base::Moment::max();
  std::string names;
  for (const Worker::Running& one : worker.all_running(now, several())) {
    names += (names.empty() ? " in " : ", ") + name_of(*one.flight->work);
  }
  worker.doom =
      Error(Code::memory, "worker " + std::to_string(worker.number) + " (pid " +
                              std::to_string(worker.pid) + ") held " + bytes_text(held) +
                              ", more than its cap of " + bytes_text(options.memory) +
                              cut_text(std::move(names), 200) +
                              ", and was killed; raise the memory limit, or make the call smaller");
  kill(worker);
  return base::Moment::max();
}

// The worker said that Python raised MemoryError below its cap.
void Engine::State::judge_memory(Worker& worker, const InFlight& flight, std::uint32_t wire_item,
                                 Outcome& outcome) {
  Error error = outcome.error();
  const std::string said = error.message.empty() ? "" : ": " + error.message;
  error.code = Code::memory;
  error.message = "the call of " + name_of(*flight.work) + " ran into its worker's memory cap of " +
                  bytes_text(options.memory) + " (`" + error.type + said +
                  "`); raise the memory limit, or make the call smaller";
  error.worker = worker.number;
  error.call = call_text(worker, flight, flight.base + wire_item);
  error.seconds = static_cast<double>(base::nanoseconds(base::now()) - outcome.claimed_ns) * 1e-9;
  error.attempts = attempts_of(*flight.work, flight.base + wire_item);
  outcome.raised = false;
  outcome.payload = std::string();
  outcome.failure = std::make_shared<Error>(std::move(error));
  worker.has_residue = true;
  worker.weigh_at = base::now() + kSettle;
  arm(worker.weigh_at);
}

// What such a call left behind would make the next one fail as well.
base::Moment Engine::State::check_residue(Worker& worker, base::Moment now) {
  if (!worker.has_residue) return base::Moment::max();
  if (now < worker.weigh_at) return worker.weigh_at;
  worker.has_residue = false;
  if (memory_of(worker) > options.memory / 2) replace(worker);
  return base::Moment::max();
}

}  // namespace pyhost::pool
