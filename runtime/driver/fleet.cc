#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/fleet.h>
#include <driver/outcome.h>
#include <driver/unlocked.h>
#include <python/ref.h>

#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace pyhost::driver {
namespace {

using python::PyRef;
using ULong = unsigned long long;  // what "K" takes

// Gathers as many outcomes as there turn out to be, which the engine says after the first ones may
// have come.
class Gathering : public pool::Sink {
 public:
  void settle(std::uint32_t item, pool::Outcome outcome) override {
    const std::lock_guard lock(mutex_);
    outcomes_.emplace(item, std::move(outcome));
    if (outcomes_.size() == expected_) all_.set();
  }

  void expect(std::size_t count) {
    const std::lock_guard lock(mutex_);
    expected_ = count;
    if (outcomes_.size() == expected_) all_.set();
  }

  pool::Event& all() { return all_; }
  std::map<std::uint32_t, pool::Outcome> take() { return std::move(outcomes_); }

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, pool::Outcome> outcomes_;
  std::size_t expected_ = SIZE_MAX;
  pool::Event all_;
};

// Text of a worker, which may be any bytes.
PyRef text(const std::string& bytes) {
  return PyRef::steal(PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()),
                                           "backslashreplace"));
}

bool append(const PyRef& list, PyRef item) {
  return list && item && PyList_Append(list.get(), item.get()) == 0;
}

}  // namespace

PyObject* broadcast(const std::shared_ptr<EngineHandle>& handle, pool::Batch batch) {
  const std::shared_ptr<pool::Engine> engine = handle->engine();
  if (!engine) return nullptr;
  auto sink = std::make_shared<Gathering>();
  batch.sink = sink;
  const auto tickets = without_gil([&] { return engine->broadcast(std::move(batch)); });
  sink->expect(tickets.size());
  bool timed_out = false;
  if (!handle->wait(sink->all(), base::Deadline::never(), timed_out)) {
    without_gil([&] {
      for (const pool::Ticket& ticket : tickets) engine->cancel(ticket, std::nullopt, false);
    });
    return nullptr;
  }
  PyRef results = PyRef::steal(PyList_New(0));
  PyRef failure;
  PyRef cancelled;
  for (auto& [item, outcome] : sink->take()) {
    Decoded decoded = decode(outcome, handle->own_arrays());
    if (!decoded) return nullptr;
    if (decoded.value && !append(results, std::move(decoded.value))) return nullptr;
    if (decoded.exception && decoded.cancelled) cancelled = std::move(decoded.exception);
    if (decoded.exception && !failure) failure = std::move(decoded.exception);
  }
  // Those of workers that ended are left out; that of a pool that has ended is all there is.
  if (!failure && results && PyList_GET_SIZE(results.get()) == 0) failure = std::move(cancelled);
  if (!failure) return results.release();
  raise(failure.get());
  return nullptr;
}

PyObject* stacks(pool::Engine& engine, base::Deadline deadline) {
  const auto found = without_gil([&] { return engine.stacks(deadline); });
  PyRef list = PyRef::steal(PyList_New(0));
  for (const pool::WorkerStack& one : found) {
    const PyRef call = text(one.call);
    const PyRef stack = call ? text(one.stack) : PyRef();
    if (!stack) return nullptr;
    PyRef entry = PyRef::steal(Py_BuildValue("(iiOdO)", one.worker, static_cast<int>(one.pid),
                                             call.get(), one.seconds, stack.get()));
    if (!append(list, std::move(entry))) return nullptr;
  }
  return list.release();
}

PyObject* processes(pool::Engine& engine, base::Deadline deadline) {
  const auto found = without_gil([&] { return engine.processes(deadline); });
  PyRef list = PyRef::steal(PyList_New(0));
  for (const pool::WorkerProcess& one : found) {
    PyRef entry =
        PyRef::steal(Py_BuildValue("(iiI)", one.worker, static_cast<int>(one.pid), one.identity));
    if (!append(list, std::move(entry))) return nullptr;
  }
  return list.release();
}

PyObject* stats(pool::Engine& engine) {
  const pool::Stats now = without_gil([&] { return engine.stats(); });
  const PyRef pids = PyRef::steal(PyList_New(0));
  for (const pid_t pid : now.pids) {
    if (!append(pids, PyRef::steal(PyLong_FromLong(pid)))) return nullptr;
  }
  if (!pids) return nullptr;
  return Py_BuildValue(
      "{s:i,s:i,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:O}", "workers", now.workers, "busy", now.busy,
      "queued", ULong{now.queued}, "in_flight", ULong{now.in_flight}, "settled", ULong{now.settled},
      "failed", ULong{now.failed}, "crashes", ULong{now.crashes}, "respawns", ULong{now.respawns},
      "retries", ULong{now.retries}, "recycled", ULong{now.recycled}, "pids", pids.get());
}

}  // namespace pyhost::driver
