// interrupt.h: stopping a call from outside, by an exception raised in it.
//
//   host: `interrupt` of the record = item + 1, then process::interrupt_signal()
//   worker: Python runs the handler between two bytecodes of the main thread, or when the signal
//           ended a blocking system call; if that item runs, TaskInterrupted is raised there
//
// A C loop is not interrupted: the host kills such a worker after its grace period.
#pragma once

#include <Python.h>

#include <cstdint>

#include <wire/worker_end.h>

namespace pyhost::worker {

// The class `pyhost.TaskInterrupted`, borrowed. A BaseException, so that `except Exception` in a
// task does not swallow it. Needs the GIL.
PyObject* task_interrupted();
// Whether the pending exception is one. Needs the GIL.
inline bool interrupted() {
  return PyErr_ExceptionMatches(task_interrupted()) != 0;
}

// What TaskInterrupted says.
inline constexpr const char* kInterruptMessage = "the host asked this call to stop";

// Makes the main thread look for interrupts when the signal comes. Requires: the GIL, the main
// thread.
void listen_for_interrupts();

// From now on `look` is called then, in the main thread, with the GIL; it returns false with an
// exception set, to be raised there. For workers with several calls in flight.
void on_interrupts(bool (*look)());

// For its life, this thread runs the item: what `is_to_stop` is about. Not nested.
class RunsHere {
 public:
  RunsHere(const wire::Incoming& call, std::uint32_t item);
  RunsHere(const RunsHere&) = delete;
  RunsHere& operator=(const RunsHere&) = delete;
  ~RunsHere();
};

// Whether the host wants the item that this thread runs to stop; false when it runs none.
bool is_to_stop();

// For its life, the item may be interrupted: once, by an exception raised in the main thread.
// Between items the signal does nothing. Requires: the main thread, the GIL at both ends.
class Interruptible {
 public:
  Interruptible(const wire::Incoming& call, std::uint32_t item);
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  ~Interruptible();

 private:
  friend bool raise_if_interrupted();
  const wire::Incoming& call_;
  std::uint32_t item_;
  RunsHere here_;
  bool raised_ = false;
};

}  // namespace pyhost::worker
