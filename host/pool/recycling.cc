// recycling.cc: workers that are replaced for their calls, their age or their memory.
//
//   works --(near its end)--> aging --(successor is ready, or no calls left)--> leaving
//                                     leaving --(its last call has finished)--> retiring
//
// An aging worker goes on working while its successor is started. A leaving one gets nothing new;
// what it has it finishes, so that no item ever fails because of this.
//
// Why jitter: workers that started together would otherwise all be replaced together.
#include <algorithm>
#include <cmath>

#include <base/system.h>
#include <pool/state.h>

namespace pyhost::pool {
namespace {

// A limit is lowered by up to a tenth. More wastes what the user asked for, less bunches them.
constexpr double kJitter = 0.1;
// Fewer calls than this are a number somebody counts on.
constexpr std::uint64_t kFewestToJitter = 10;
// How often a busy worker's memory is looked at. Each look costs some microseconds under the lock.
constexpr base::Duration kWeighTime = std::chrono::milliseconds(20);
// After its reply a worker still holds what the call left; it lets go of it in much less than this.
constexpr base::Duration kSettleTime = std::chrono::milliseconds(5);
// A worker whose ring is full is told to retire after this long.
constexpr base::Duration kTellAgain = std::chrono::milliseconds(10);

}  // namespace

void Engine::State::prepare_recycling(Worker& worker) {
  const auto shortened = [this](double value) {
    return value * (1 - std::uniform_real_distribution<double>(0, kJitter)(random));
  };
  worker.most = options.max_tasks_per_worker;
  if (worker.most >= kFewestToJitter) {
    const double shorter = std::round(shortened(static_cast<double>(worker.most)));
    worker.most = std::min(worker.most, static_cast<std::uint64_t>(shorter));
  }
  if (options.max_worker_age) {
    const auto age = static_cast<double>(options.max_worker_age->count());
    worker.retire_at = base::now() + base::Duration(static_cast<std::int64_t>(shortened(age)));
    arm(worker.retire_at);
  }
}

void Engine::State::replace(Worker& worker) {
  if (worker.aging || worker.leaving || worker.state != WorkerState::ready || stopping) return;
  worker.aging = true;
  wake_supervisor();  // to spawn a successor
  let_go();
}

void Engine::State::let_go() {
  auto usable = std::count_if(workers.begin(), workers.end(), [](const Worker& worker) {
    return worker.state == WorkerState::ready && !worker.leaving;
  });
  for (Worker& worker : workers) {
    if (usable <= target) return;
    if (worker.state != WorkerState::ready || !worker.aging || worker.leaving) continue;
    leave(worker);
    --usable;
  }
}

void Engine::State::leave(Worker& worker) {
  worker.leaving = true;
  if (worker.at_most(1) == 0) drop_pinned(worker);
  if (worker.in_flight.empty() && worker.pinned.empty()) retire(worker);
}

// Leaves the worker as it is when its ring is full; check_retirement tries again.
void Engine::State::retire(Worker& worker) {
  const base::Moment now = base::now();
  if (!worker.wire->post_retire()) {
    arm(now + kTellAgain);
    return;
  }
  worker.wire->notify();
  worker.become(WorkerState::retiring);
  worker.retired = true;
  worker.end_by = now + options.retire_grace;
  arm(worker.end_by);
  if (worker.aging) ++totals.recycled;
}

// Its last calls are posted: from now on it has no use but to finish them.
void Engine::State::count_given(Worker& worker, double calls) {
  worker.given += calls;
  if (!worker.worked_off() || worker.leaving) return;
  worker.aging = true;
  leave(worker);
  wake_supervisor();
}

void Engine::State::on_rest(Worker& worker) {
  const bool rests = worker.in_flight.empty();
  if (rests && worker.leaving) {
    if (worker.pinned.empty() && worker.state == WorkerState::ready) retire(worker);
    return;
  }
  const bool shrinks = target > fewest;
  const bool weighs = options.max_worker_memory > 0;
  if (!shrinks && !weighs) return;
  const base::Moment now = base::now();
  if (rests) {
    worker.idle_since = now;
    if (shrinks) arm(now + options.idle_time);
    if (weighs) arm(now + kSettleTime);
  }
  if (!weighs) return;
  worker.unweighed = true;
  if (worker.suspect || now < worker.weighed_at + kWeighTime) return;
  worker.weighed_at = now;
  worker.suspect = base::private_bytes(worker.pid) > options.max_worker_memory;
}

// Age, and what a worker that rests really holds.
base::Moment Engine::State::check_recycling(Worker& worker, base::Moment now) {
  base::Moment next = base::Moment::max();
  if (worker.state != WorkerState::ready || worker.aging || worker.leaving) return next;
  if (worker.retire_at != base::Moment()) {
    if (now >= worker.retire_at) {
      replace(worker);
      return next;
    }
    next = worker.retire_at;
  }
  if (!worker.unweighed || !worker.in_flight.empty()) return next;
  if (now < worker.idle_since + kSettleTime) return std::min(next, worker.idle_since + kSettleTime);
  worker.unweighed = false;
  worker.suspect = false;
  worker.weighed_at = now;
  if (base::private_bytes(worker.pid) > options.max_worker_memory) replace(worker);
  return next;
}

}  // namespace pyhost::pool
