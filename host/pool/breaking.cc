// breaking.cc: `on_crash = pool`: the first worker that dies ends the pool, as in
// concurrent.futures.
//
// For callers whose workers hold state that no replacement would have. A worker that this pool
// killed itself (a limit, a forced cancel) breaks nothing: its call has its verdict.
#include <pool/state.h>

namespace pyhost::pool {

bool Engine::State::breaks(const Worker& worker) const {
  if (options.on_crash != OnCrash::pool || fatal || stopping || worker.retired) return false;
  return worker.start_error || !worker.was_killed;
}

// From here on nothing is accepted, started or run once more. Requires: breaks(worker).
void Engine::State::break_pool(const Worker& worker) {
  Error error(Code::worker_crashed, {});
  if (!worker.was_ready) {
    error = start_error(worker);
  } else {
    tell_end(worker, error);
    error.message = "worker " + std::to_string(worker.number) + " (pid " +
                    std::to_string(worker.pid) + ") " +
                    (worker.status ? describe_status(*worker.status) : std::string("ended"));
  }
  error.worker = worker.number;
  note_broken(std::move(error));
}

void Engine::State::note_broken(Error error) {
  error.code = Code::worker_crashed;
  error.message += "; that broke the pool, whose other calls failed with it; start a new one";
  error.attempts = 0;
  fatal = std::move(error);
  broken.store(true);
}

// What the workers have fails, and they end, but for `buried`. Requires: `fatal` says why.
void Engine::State::end_others(const Worker* buried) {
  for (Worker& other : workers) {
    if (&other == buried || !other.wire || other.state == WorkerState::dying) continue;
    take_back(other);
    drain(other);
    fail_in_flight(other, *fatal);
    if (other.alive()) kill(other);
  }
  fail_queued(*fatal);
  changed.notify_all();
}

void Engine::break_with(Error error) {
  State& s = *state_;
  if (s.is_copy() || s.options.on_crash != OnCrash::pool) return;
  State::Lock lock(s.mutex);
  if (s.fatal || s.stopping || s.ending) return;
  s.note_broken(std::move(error));
  s.end_others(nullptr);
  s.run_deferred(lock);
}

}  // namespace pyhost::pool
