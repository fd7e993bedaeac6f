// population.cc: how many workers there are, and which slot a new one gets.
//
//            something queued that no worker takes        idle for `idle_time`
//   fewest ---------------------------------------> target ------------------> fewest
//
// 1. `target` is how many workers are wanted now; spawn_missing makes up for what is missing.
// 2. A worker counts from the moment it is asked for until it is told to leave, or is to be
//    replaced: then its successor is started while it still works, in a slot of its own.
// 3. One that died counts until it is buried, and its slot while it backs off. So nothing is
//    started twice, and a worker that keeps dying keeps its slot and its back-off.
#include <algorithm>

#include <pool/state.h>

namespace pyhost::pool {

// Successors need slots while those they replace still have theirs.
std::size_t Engine::State::slots_for(const Options& options, int workers) {
  const bool replaces = options.max_tasks_per_worker > 0 || options.max_worker_age ||
                        options.max_worker_memory > 0 || options.memory > 0;
  const bool shrinks = options.workers.min != options.workers.max;
  return static_cast<std::size_t>(workers) * (replaces || shrinks ? 2 : 1);
}

bool Engine::State::counts(const Worker& worker, base::Moment now) {
  switch (worker.state) {
    case WorkerState::absent: {
      const Zygote& zygote = zygote_of(worker);
      const bool comes = zygote.wanted && !zygote.used && zygote.state != ZygoteState::ready;
      return worker.respawn_at > now || (per_worker && comes);
    }
    case WorkerState::retiring:
      return false;
    default:
      return !worker.aging && !worker.leaving && !worker.retired;
  }
}

int Engine::State::counted(base::Moment now) {
  return static_cast<int>(std::count_if(workers.begin(), workers.end(),
                                        [&](const Worker& worker) { return counts(worker, now); }));
}

// Where the next worker goes: where an interpreter is ready already, where a worker died (its
// back-off goes on there), else the lowest number.
Worker* Engine::State::free_slot(base::Moment now) {
  Worker* best = nullptr;
  const auto rank = [&](const Worker& worker) {
    if (per_worker && zygote_of(worker).state == ZygoteState::ready) return 2;
    return worker.fruitless_deaths > 0 ? 1 : 0;
  };
  for (Worker& worker : workers) {
    if (worker.state != WorkerState::absent || worker.respawn_at > now) continue;
    const Zygote& zygote = zygote_of(worker);
    const bool can_start = zygote.state == ZygoteState::absent && !zygote.wanted;
    const bool can_become = zygote.state == ZygoteState::ready && !zygote.used;
    if (per_worker ? !can_start && !can_become : !can_fork(zygote)) continue;
    if (best == nullptr || rank(worker) > rank(*best)) best = &worker;
  }
  return best;
}

void Engine::State::spawn_missing(base::Moment now) {
  if (stopping || fatal) return;
  for (int missing = target - counted(now); missing > 0; --missing) {
    Worker* slot = free_slot(now);
    if (slot == nullptr) return;
    Zygote& zygote = zygote_of(*slot);
    if (!can_fork(zygote)) {
      zygote.wanted = true;  // start_zygotes comes next
    } else if (auto spawned = spawn(*slot, zygote); !spawned.ok()) {
      on_spawn_failure(*slot, std::move(spawned).error());
      if (fatal) return;
    }
  }
}

void Engine::State::clear_slot(Worker& worker) {
  worker.become(WorkerState::absent);
  worker.wire.reset();
  worker.out = OutputPipe();
  worker.err = OutputPipe();
  worker.forensics.reset();
  for (Part& part : worker.pinned) unassigned.push_back(std::move(part));
  worker.pinned.clear();
}

// Each worker that is coming is good for one item at least.
void Engine::State::want_more() {
  if (target >= worker_count || stopping) return;
  std::uint64_t coming = 0;
  int there = 0;
  const base::Moment now = base::now();
  for (const Worker& worker : workers) {
    if (!counts(worker, now)) continue;
    ++there;
    if (worker.state != WorkerState::ready) ++coming;
  }
  if (coming >= queued) return;
  const auto wanted = static_cast<int>(
      std::min<std::uint64_t>(there + (queued - coming), static_cast<std::uint64_t>(worker_count)));
  if (wanted <= target) return;
  target = wanted;
  wake_supervisor();
}

bool Engine::State::all_are_ready() const {
  const auto is_ready = [](const Worker& worker) { return worker.state == WorkerState::ready; };
  return std::count_if(workers.begin(), workers.end(), is_ready) >= target;
}

void Engine::State::on_ready(Worker& worker) {
  const base::Moment now = base::now();
  worker.become(WorkerState::ready);
  worker.was_ready = true;
  worker.idle_since = now;
  any_ready = true;
  all_ready = all_ready || all_are_ready();
  start_failures = 0;
  last_ready = now;
  prepare_recycling(worker);
  note_memory(worker);
  let_go();
  if (target > fewest) arm(now + options.idle_time);
  changed.notify_all();
}

base::Moment Engine::State::check_population(base::Moment now) {
  base::Moment next = base::Moment::max();
  // From the highest number down: the lowest are those that stay when the pool shrinks.
  for (std::size_t i = workers.size(); i-- > 0;) {
    Worker& worker = workers[i];
    if (worker.state == WorkerState::absent && worker.respawn_at > now) {
      next = std::min(next, worker.respawn_at);
    }
    next = std::min(next, check_retirement(worker, now));
    next = std::min(next, check_recycling(worker, now));
    next = std::min(next, shrink(worker, now));
  }
  return next;
}

// Exit functions may take their time, within limits.
base::Moment Engine::State::check_retirement(Worker& worker, base::Moment now) {
  if (worker.state == WorkerState::ready && worker.leaving && worker.in_flight.empty() &&
      worker.pinned.empty()) {
    retire(worker);
    return base::Moment::max();
  }
  if (worker.state != WorkerState::retiring || stopping) return base::Moment::max();
  if (now < worker.end_by) return worker.end_by;
  kill(worker);
  return base::Moment::max();
}

base::Moment Engine::State::shrink(Worker& worker, base::Moment now) {
  constexpr base::Moment never = base::Moment::max();
  const bool idles =
      worker.state == WorkerState::ready && worker.in_flight.empty() && worker.pinned.empty();
  if (target <= fewest || !idles || !counts(worker, now) || !unassigned.empty()) return never;
  const base::Moment due = worker.idle_since + options.idle_time;
  if (now < due) return due;
  --target;
  leave(worker);
  return never;
}

}  // namespace pyhost::pool
