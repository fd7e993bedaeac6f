#include <worker/interrupt.h>

#include <string>

#include <process/control.h>
#include <python/ref.h>
#include <worker/coroutines.h>
#include <worker/forensics.h>

namespace pyhost::worker {

bool raise_if_interrupted();

namespace {

using python::PyRef;

Interruptible* running = nullptr;  // guarded by the GIL, and by being the main thread's
bool (*look)() = raise_if_interrupted;

struct Item {
  const wire::Incoming* call = nullptr;
  std::uint32_t number = 0;
};
thread_local Item here;

void say_where() {
  const std::string awaited = awaited_stack();
  if (awaited.empty()) {
    answer_with_threads();
  } else {
    answer_question(awaited);
  }
}

}  // namespace

// False with the exception set, if the item that runs is to stop.
bool raise_if_interrupted() {
  if (take_question()) say_where();
  if (running == nullptr || running->raised_) return true;
  if (!wire::WorkerEnd::interrupted(running->call_, running->item_)) return true;
  running->raised_ = true;
  if (cancel_awaited()) return true;
  PyErr_SetString(task_interrupted(), kInterruptMessage);
  return false;
}

namespace {

// In Python's place for signal handlers: called with (signal, frame).
PyObject* on_interrupt(PyObject* /*self*/, PyObject* /*arguments*/) {
  if (!look()) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef handler = {"on_interrupt", on_interrupt, METH_VARARGS, nullptr};

}  // namespace

PyObject* task_interrupted() {
  // Kept for the life of the process: a class outlives every exception of it.
  static PyObject* type = PyErr_NewExceptionWithDoc(
      "pyhost.TaskInterrupted",
      "Raised in a task that is to stop: it was cancelled, or a limit of it is reached. Clean up "
      "and let it pass; a task that goes on is killed after the grace period.\n\n"
      "    >>> def work(path):\n"
      "    ...     try:\n"
      "    ...         time.sleep(1000)\n"
      "    ...     except pyhost.TaskInterrupted:\n"
      "    ...         open(path, 'w').close()  # whatever has to be undone\n"
      "    ...         raise\n",
      PyExc_BaseException, nullptr);
  return type != nullptr ? type : PyExc_KeyboardInterrupt;
}

void listen_for_interrupts() {
  const PyRef signals = PyRef::steal(PyImport_ImportModule("_signal"));
  const PyRef function = PyRef::steal(PyCFunction_New(&handler, nullptr));
  if (signals && function) {
    PyRef::steal(PyObject_CallMethod(signals.get(), "signal", "iO", process::interrupt_signal(),
                                     function.get()));
  }
  PyErr_Clear();
}

void on_interrupts(bool (*new_look)()) {
  look = new_look;
}

RunsHere::RunsHere(const wire::Incoming& call, std::uint32_t item) {
  here = {&call, item};
}

RunsHere::~RunsHere() {
  here = {};
}

bool is_to_stop() {
  return here.call != nullptr && wire::WorkerEnd::interrupted(*here.call, here.number);
}

Interruptible::Interruptible(const wire::Incoming& call, std::uint32_t item)
    : call_(call), item_(item), here_(call, item) {
  running = this;
}

Interruptible::~Interruptible() {
  running = nullptr;
}

}  // namespace pyhost::worker
