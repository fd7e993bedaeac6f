// task.h: one submitted call, as the Python object its future is made of.
#pragma once

#include <Python.h>
#include <driver/handle.h>
#include <driver/receiver.h>
#include <pool/engine.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace pyhost::driver {

// Where the outcome of a call arrives, on any thread and without the GIL. It stays bytes until a
// Python thread asks for it.
//
// Lifetime: shared by the Task and the engine; whoever is last.
class TaskSink : public pool::Sink {
 public:
  void settle(std::uint32_t item, pool::Outcome outcome) override;

  bool settled() const { return (flags_.load(std::memory_order_acquire) & kSettled) != 0; }
  // Requires: settled(). Once its bytes were dropped, numbers only.
  pool::Outcome& outcome() { return outcome_; }
  void drop_bytes() {
    outcome_.payload = std::string();
    outcome_.failure.reset();
  }
  pool::Event& event() { return event_; }

  // From now on the receiver is told when the outcome is there, and gets the reference to `object`
  // that is passed. False when it is there already; the reference stays the caller's. Requires: the
  // GIL; once only.
  bool watch(std::shared_ptr<Receiver> receiver, PyObject* object);

 private:
  static constexpr std::uint8_t kSettled = 1;
  static constexpr std::uint8_t kWatched = 2;

  pool::Event event_;
  pool::Outcome outcome_;
  std::atomic<std::uint8_t> flags_{0};
  PyObject* object_ = nullptr;  // this and the next: who gets what; written before kWatched is set
  std::shared_ptr<Receiver> receiver_;
};

// Makes an instance of `type` (the type Task or a subclass) for `batch`, a batch of one, and
// submits it. Null with an exception set on failure. Requires: the GIL.
PyObject* submit_task(PyTypeObject* type, const std::shared_ptr<EngineHandle>& handle,
                      pool::Batch batch);

// The same for a call that could not even be submitted: settled, with `exception` as its outcome.
PyObject* failed_task(PyTypeObject* type, PyObject* exception);

// Adds the type Task.
bool add_task_type(PyObject* module);

// The type Task, borrowed; null before `add_task_type`.
PyTypeObject* task_type();

}  // namespace pyhost::driver
