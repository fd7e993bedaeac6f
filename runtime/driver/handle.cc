#include <Python.h>
#include <base/fork_guard.h>
#include <base/futex.h>
#include <base/per_process.h>
#include <dirent.h>
#include <driver/handle.h>
#include <driver/unlocked.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace pyhost::driver {
namespace {

// One supervisor per engine, drainers, settlers. A forked copy has none of them.
constinit base::PerProcess<std::atomic<int>> our_threads;

// How long a thread that has done its work may take to be gone. Shorter, and a script that has just
// joined its threads gets another start method than usual; longer, and one with threads waits.
constexpr base::Duration kThreadEnds = std::chrono::milliseconds(2);

int count_threads() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/task"), closedir);
  if (!folder) return 1;
  int threads = 0;
  while (const dirent* entry = readdir(folder.get())) threads += entry->d_name[0] != '.' ? 1 : 0;
  return threads;
}

}  // namespace

OurThread::OurThread() {
  our_threads.get().fetch_add(1);
}
OurThread::~OurThread() {
  our_threads.get().fetch_sub(1);
}

// A thread that was joined is in the kernel's list for a moment longer.
int foreign_threads() {
  const base::Deadline deadline = base::Deadline::in(kThreadEnds);
  for (;;) {
    const int others = count_threads() - 1 - our_threads.get().load();
    if (others <= 0) return 0;
    if (deadline.passed()) return others;
    without_gil([] { std::this_thread::sleep_for(kThreadEnds / 20); });
  }
}

EngineHandle::EngineHandle(std::shared_ptr<pool::Engine> engine, bool own_arrays)
    : engine_(std::move(engine)),
      exits_(engine_->exits()),
      generation_(base::fork_generation()),
      own_arrays_(own_arrays),
      on_crash_(engine_->on_crash()),
      refuses_(on_crash_ == OnCrash::pool) {
  our_threads.get().fetch_add(1);
}

EngineHandle::~EngineHandle() {
  if (base::fork_generation() != generation_) {
    // The threads and processes behind these belong to the process this is a copy of.
    new std::shared_ptr<pool::Engine>(std::move(engine_));
    new std::thread(std::move(drainer_));
    return;
  }
  kill();
}

bool EngineHandle::usable() const {
  return base::fork_generation() == generation_ && any_engine() != nullptr;
}

bool EngineHandle::accepts() const {
  return base::fork_generation() == generation_ && engine_ != nullptr;
}

bool EngineHandle::refuse_copy() const {
  if (base::fork_generation() == generation_) return true;
  PyErr_SetString(
      PyExc_RuntimeError,
      "this pool belongs to the process this one was forked from; make a new one here, or use "
      "`pyhost.submit` and `pyhost.map`");
  return false;
}

std::shared_ptr<pool::Engine> EngineHandle::engine() const {
  if (!refuse_copy()) return nullptr;
  std::shared_ptr<pool::Engine> engine = any_engine();
  if (!engine) PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
  return engine;
}

// A signal that arrives between the interpreter's last look and the system call that sleeps sets
// Python's flag, and wakes nobody. So sleep in slices, longer and longer.
bool EngineHandle::wait(pool::Event& event, base::Deadline deadline, bool& timed_out) const {
  constexpr base::Duration kFirstSlice = std::chrono::milliseconds(20);
  constexpr base::Duration kLongestSlice = std::chrono::milliseconds(200);
  base::Duration slice = kFirstSlice;
  timed_out = false;
  while (!event.is_set()) {
    const std::shared_ptr<pool::Engine> alive = engine();
    if (!alive) {
      if (!event.is_set()) return false;
      PyErr_Clear();  // it finished between the two looks
      return true;
    }
    const base::Duration left = deadline.left();
    const base::Deadline look = left > slice ? base::Deadline::in(slice) : deadline;
    const pool::Wait how = without_gil([&] { return alive->wait(event, look); });
    if (how == pool::Wait::set) return true;
    if (PyErr_CheckSignals() != 0) return false;
    if (deadline.passed() && !event.is_set()) {
      timed_out = true;
      return true;
    }
    slice = std::min(2 * slice, kLongestSlice);
  }
  return true;
}

void EngineHandle::start_drain() {
  if (!engine_ || !usable()) return;
  draining_ = engine_;
  std::shared_ptr<pool::Engine> engine = std::move(engine_);
  try {
    drainer_ = std::thread([this, engine]() mutable {
      const OurThread ours;
      finish(std::move(engine));
    });
  } catch (const std::system_error&) {
    // There can be no more threads: whoever wanted not to wait has to.
    without_gil([&] { finish(std::move(engine)); });
  }
}

void EngineHandle::finish(std::shared_ptr<pool::Engine> engine) {
  engine->drain(base::Deadline::never());
  engine.reset();
  completions_->close();
  our_threads.get().fetch_sub(1);
  drained_.store(1);
  base::futex_wake(drained_, INT32_MAX, base::Sharing::one_process);
}

bool EngineHandle::wait_drained() {
  while (base::fork_generation() == generation_ && drainer_.joinable() && !drained()) {
    without_gil([this] {
      const auto look = base::Deadline::in(std::chrono::milliseconds(200));  // see `wait`
      base::futex_wait(drained_, 0, look, base::Sharing::one_process);
    });
    if (PyErr_CheckSignals() != 0) return false;
  }
  return true;
}

void EngineHandle::kill() {
  if (base::fork_generation() != generation_) return;
  const bool counted = engine_ != nullptr;  // else the drainer counts it
  std::shared_ptr<pool::Engine> engine = any_engine();
  engine_.reset();
  if (engine) {
    without_gil([&] {
      engine->kill();
      engine.reset();
    });
  }
  if (counted) our_threads.get().fetch_sub(1);
  join_drainer();
  completions_->close();
}

void EngineHandle::cancel_waiting() {
  if (!usable()) return;
  const std::shared_ptr<pool::Engine> engine = any_engine();
  if (engine) without_gil([&] { engine->cancel_waiting(); });
}

// A drainer that was told to finish does so at once after `kill`.
void EngineHandle::join_drainer() {
  if (!drainer_.joinable()) return;
  std::thread drainer = std::move(drainer_);
  without_gil([&] { drainer.join(); });
}

}  // namespace pyhost::driver
