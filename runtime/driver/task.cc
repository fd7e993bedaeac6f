#include <Python.h>
#include <base/futex.h>
#include <driver/bell.h>
#include <driver/outcome.h>
#include <driver/slot.h>
#include <driver/task.h>
#include <driver/unlocked.h>
#include <python/ref.h>

#include <new>
#include <utility>

namespace pyhost::driver {

void TaskSink::settle(std::uint32_t, pool::Outcome outcome) {
  outcome_ = std::move(outcome);
  const std::uint8_t before = flags_.fetch_or(kSettled, std::memory_order_acq_rel);
  event_.set();
  if ((before & kWatched) != 0) receiver_->push(object_);
}

bool TaskSink::watch(std::shared_ptr<Receiver> receiver, PyObject* object) {
  receiver_ = std::move(receiver);
  object_ = object;
  return (flags_.fetch_or(kWatched, std::memory_order_acq_rel) & kSettled) == 0;
}

namespace {

using python::PyRef;

// bytes -> object happens once, on the first thread that asks; others wait for it. One that Ctrl-C
// stops leaves it to the next.
enum Decoding : std::uint32_t { not_decoded, being_decoded, decoded };

struct Task {
  PyObject_HEAD std::shared_ptr<EngineHandle> handle;
  std::shared_ptr<TaskSink> sink;
  pool::Ticket ticket;
  PyObject* value;
  PyObject* exception;
  std::atomic<std::uint32_t> decoding;
  unsigned long decoder;
  std::uint64_t submitted_ns;
  bool cancelled;
  bool watched;
  bool started;
};

PyTypeObject* the_type = nullptr;

Task* task(PyObject* self) {
  return reinterpret_cast<Task*>(self);
}

void now_is(Task* self, Decoding state) {
  self->decoding.store(state);
  base::futex_wake(self->decoding, INT32_MAX, base::Sharing::one_process);
}

void keep(Task* self, Decoded result) {
  self->value = result.value.release();
  self->exception = result.exception.release();
  self->cancelled = result.cancelled;
  self->sink->drop_bytes();
  now_is(self, decoded);
  self->ticket = {};
  self->handle.reset();  // the pool need not live for the sake of a result that is here
}

// What became of the call; nothing where that was interrupted. In a pool that a crash breaks, so
// does a result that cannot be rebuilt.
Decoded decoded_outcome(Task* self) {
  const std::shared_ptr<EngineHandle> handle = self->handle;
  const bool own_arrays = handle && handle->own_arrays();
  const bool ok = self->sink->outcome().ok;
  Decoded result = decode(self->sink->outcome(), own_arrays);
  if (!ok || !result.exception || !handle || handle->on_crash() != OnCrash::pool) return result;
  Error error = broken_by(result.exception.get());
  PyRef cause = std::exchange(result.exception, exception_of(error));
  if (!result) return result;
  PyException_SetCause(result.exception.get(), cause.release());
  if (handle->accepts()) {
    const std::shared_ptr<pool::Engine> engine = handle->engine();
    without_gil([&] { engine->break_with(std::move(error)); });
  }
  return result;
}

// Requires: settled. False with an exception set.
bool ensure_decoded(Task* self) {
  while (self->decoding.load() != decoded) {
    if (self->decoding.load() == not_decoded) {
      self->decoding.store(being_decoded);
      self->decoder = PyThread_get_thread_ident();
      Decoded result = decoded_outcome(self);
      if (!result) {
        now_is(self, not_decoded);
        return false;
      }
      keep(self, std::move(result));
      return true;
    }
    if (self->decoder == PyThread_get_thread_ident()) {
      PyErr_SetString(PyExc_RuntimeError, "rebuilding the result of a task needs that very result");
      return false;
    }
    without_gil([self] {
      base::futex_wait(self->decoding, being_decoded, base::Deadline::never(),
                       base::Sharing::one_process);
    });
    if (PyErr_CheckSignals() != 0) return false;
  }
  return true;
}

bool was_cancelled(const Task* self) {
  if (self->decoding.load() != not_decoded) return self->cancelled;
  if (!self->sink->settled()) return false;
  const pool::Outcome& outcome = self->sink->outcome();
  return !outcome.ok && outcome.failure != nullptr && outcome.failure->code == Code::cancelled;
}

// `timeout`: seconds or None, borrowed. False with an exception set.
bool read_deadline(PyObject* timeout, base::Deadline& deadline) {
  deadline = base::Deadline::never();
  if (timeout == nullptr || timeout == Py_None) return true;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) return false;
  constexpr double kLongest = 1e9;  // about 31 years: beyond, the arithmetic overflows
  if (seconds < kLongest) {
    const std::chrono::duration<double> duration(seconds > 0 ? seconds : 0);
    deadline = base::Deadline::in(std::chrono::duration_cast<base::Duration>(duration));
  }
  return true;
}

// Waits and decodes. False with an exception set, a timeout included.
bool wait_decoded(Task* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  const Py_ssize_t named = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
  if (count + named > 1 || (named == 1 && PyUnicode_CompareWithASCIIString(
                                              PyTuple_GET_ITEM(names, 0), "timeout") != 0)) {
    PyErr_SetString(PyExc_TypeError, "expected at most one argument, `timeout`");
    return false;
  }
  if (!self->sink->settled()) {
    base::Deadline deadline = base::Deadline::never();
    if (!read_deadline(count + named == 1 ? args[0] : nullptr, deadline)) return false;
    // Kept by a copy: another thread may decode, and let the handle go, meanwhile.
    const std::shared_ptr<EngineHandle> handle = self->handle;
    bool timed_out = false;
    if (handle && !handle->wait(self->sink->event(), deadline, timed_out)) return false;
    if (timed_out) {
      raise_futures_error("TimeoutError");
      return false;
    }
  }
  return ensure_decoded(self);
}

PyObject* new_reference(PyObject* object) {
  Py_INCREF(object);
  return object;
}

PyObject* result(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Task* self = task(object);
  if (!wait_decoded(self, args, count, names)) return nullptr;
  if (self->value != nullptr) return new_reference(self->value);
  raise(self->exception);
  return nullptr;
}

PyObject* exception(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Task* self = task(object);
  if (!wait_decoded(self, args, count, names)) return nullptr;
  if (self->cancelled) {
    raise(self->exception);
    return nullptr;
  }
  return new_reference(self->exception != nullptr ? self->exception : Py_None);
}

PyObject* done(PyObject* self, PyObject*) {
  return PyBool_FromLong(task(self)->sink->settled());
}

PyObject* cancelled(PyObject* self, PyObject*) {
  return PyBool_FromLong(was_cancelled(task(self)));
}

PyObject* started(PyObject* self, PyObject*) {
  Task* of = task(self);
  if (of->sink->settled()) Py_RETURN_FALSE;
  if (of->started) Py_RETURN_TRUE;
  // Kept by a copy: another thread may decode, and let the handle go, meanwhile.
  const std::shared_ptr<EngineHandle> handle = of->handle;
  const std::shared_ptr<pool::Engine> engine = handle ? handle->any_engine() : nullptr;
  if (!engine) Py_RETURN_FALSE;
  const pool::Ticket ticket = of->ticket;
  return PyBool_FromLong(without_gil([&] { return engine->is_running(ticket, 0); }));
}

// Of an outcome that was taken, what is no text is still there.
PyObject* timing(PyObject* self, PyObject*) {
  if (!task(self)->sink->settled()) Py_RETURN_NONE;
  const pool::Outcome& outcome = task(self)->sink->outcome();
  return Py_BuildValue("(KKKiKi)", static_cast<unsigned long long>(task(self)->submitted_ns),
                       static_cast<unsigned long long>(outcome.claimed_ns),
                       static_cast<unsigned long long>(outcome.settled_ns), outcome.worker,
                       static_cast<unsigned long long>(outcome.peak_memory), outcome.attempts);
}

// What has not started settles within the engine's `cancel`, or as soon as its worker said that it
// did not start it. What runs ends later: nobody waits for its grace period here.
PyObject* cancel(PyObject* object, PyObject* force_object) {
  Task* self = task(object);
  const int force = PyObject_IsTrue(force_object);
  if (force < 0) return nullptr;
  if (self->sink->settled()) return PyBool_FromLong(was_cancelled(self));
  const std::shared_ptr<EngineHandle> handle = self->handle;
  const std::shared_ptr<pool::Engine> engine = handle->engine();
  if (!engine) return nullptr;
  const pool::Ticket ticket = self->ticket;
  const bool ends = without_gil([&] { return engine->cancel(ticket, 0, force != 0) != 0; });
  if (ends && force != 0) Py_RETURN_TRUE;
  bool timed_out = false;
  if (ends && !handle->wait(self->sink->event(), base::Deadline::never(), timed_out)) {
    return nullptr;
  }
  if (!ends) self->started = true;
  return PyBool_FromLong(was_cancelled(self));
}

PyObject* watch(PyObject* object, PyObject*) {
  Task* self = task(object);
  if (self->sink->settled() || self->watched) return PyBool_FromLong(!self->sink->settled());
  // Kept by a copy: another thread may decode, and let the handle go, meanwhile.
  const std::shared_ptr<EngineHandle> handle = self->handle;
  if (!handle->refuse_copy()) return nullptr;
  self->watched = true;
  PyRef reference = PyRef::borrow(object);
  if (!self->sink->watch(handle->completions(), reference.get())) Py_RETURN_FALSE;
  static_cast<void>(reference.release());
  Py_RETURN_TRUE;
}

PyObject* completions(PyObject* object, void*) {
  const std::shared_ptr<EngineHandle>& handle = task(object)->handle;
  if (!handle || task(object)->sink->settled()) Py_RETURN_NONE;
  return handle->refuse_copy() ? new_reference(handle->completions_object()) : nullptr;
}

// `_ring(bell, waiter)`: False when the outcome is there already, None when somebody else is told.
PyObject* ring(PyObject* object, PyObject* const* args, Py_ssize_t count) {
  Task* self = task(object);
  if (count != 2) {
    PyErr_SetString(PyExc_TypeError, "expected _ring(bell, waiter)");
    return nullptr;
  }
  if (self->sink->settled()) Py_RETURN_FALSE;
  if (self->watched) Py_RETURN_NONE;
  std::shared_ptr<Bell> bell = bell_of(args[0]);
  if (!bell) return nullptr;
  self->watched = true;
  PyRef waiter = PyRef::borrow(args[1]);
  if (!self->sink->watch(std::move(bell), waiter.get())) Py_RETURN_FALSE;
  static_cast<void>(waiter.release());
  Py_RETURN_TRUE;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(task(self)->value);
  Py_VISIT(task(self)->exception);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(task(self)->value);
  Py_CLEAR(task(self)->exception);
  return 0;
}

void dealloc(PyObject* object) {
  PyObject_GC_UnTrack(object);
  clear(object);
  Task* self = task(object);
  std::destroy_at(&self->ticket);
  std::destroy_at(&self->sink);
  std::destroy_at(&self->handle);
  free_object(object);
}

PyObject* refuse_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyErr_Format(PyExc_TypeError, "`%s` objects are made by submitting a call", type->tp_name);
  return nullptr;
}

// Functions of these flags have a type of their own; the cast through void* says it is meant.
PyCFunction fast(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

PyMethodDef kMethods[] = {
    {"result", fast(result), METH_FASTCALL | METH_KEYWORDS,
     "result($self, timeout=None)\n--\n\n"
     "What the call returned; raises what it raised, and TimeoutError after `timeout` seconds.\n\n"
     "    >>> executor.submit(pow, 2, 10).result(timeout=30)\n"
     "    1024"},
    {"exception", fast(exception), METH_FASTCALL | METH_KEYWORDS,
     "exception($self, timeout=None)\n--\n\n"
     "What the call raised, or None; raises TimeoutError after `timeout` seconds.\n\n"
     "    >>> executor.submit(int, 'x').exception(timeout=30)\n"
     "    ValueError(\"invalid literal for int() with base 10: 'x'\")"},
    {"done", done, METH_NOARGS,
     "done($self, /)\n--\n\n"
     "Whether the outcome is known.\n\n"
     "    >>> future = executor.submit(abs, -1)\n"
     "    >>> future.result(), future.done()\n"
     "    (1, True)"},
    {"cancelled", cancelled, METH_NOARGS,
     "cancelled($self, /)\n--\n\n"
     "Whether the call was cancelled before it ended.\n\n"
     "    >>> future = executor.submit(abs, -1)\n"
     "    >>> future.result(), future.cancelled()\n"
     "    (1, False)"},
    {"_started", started, METH_NOARGS, "whether it is claimed, and has no outcome"},
    {"_timing", timing, METH_NOARGS,
     "(submitted, claimed, settled: ns, worker, peak memory, attempts), or None"},
    {"_cancel", cancel, METH_O, "_cancel(force): whether the call is cancelled now"},
    {"_watch", watch, METH_NOARGS,
     "tells the settler of its pool; False: the outcome is known already"},
    {"_ring", reinterpret_cast<PyCFunction>(slot(ring)), METH_FASTCALL,
     "_ring(bell, waiter): pushes `waiter` when the outcome is there; False: it is, None: it is "
     "watched"},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kProperties[] = {{"_completions", completions, nullptr,
                              "those of its pool; None: the outcome is there", nullptr},
                             {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* make_task(PyTypeObject* type) {
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  Task* self = task(object);
  new (&self->handle) std::shared_ptr<EngineHandle>();
  new (&self->sink) std::shared_ptr<TaskSink>(std::make_shared<TaskSink>());
  new (&self->ticket) pool::Ticket();
  new (&self->decoding) std::atomic<std::uint32_t>(not_decoded);
  return object;
}

}  // namespace

PyObject* submit_task(PyTypeObject* type, const std::shared_ptr<EngineHandle>& handle,
                      pool::Batch batch) {
  const std::shared_ptr<pool::Engine> engine = handle->engine();
  if (!engine) return nullptr;
  PyObject* object = make_task(type);
  if (object == nullptr) return nullptr;
  Task* self = task(object);
  self->handle = handle;
  batch.sink = self->sink;
  self->submitted_ns = base::nanoseconds(base::now());
  // The supervisor may hold the engine's lock while it waits for the GIL, to take a snapshot.
  self->ticket = without_gil([&] { return engine->submit(std::move(batch)); });
  return object;
}

PyObject* failed_task(PyTypeObject* type, PyObject* exception) {
  PyObject* object = make_task(type);
  if (object == nullptr) return nullptr;
  Task* self = task(object);
  self->sink->settle(0, pool::Outcome());
  Py_INCREF(exception);
  self->exception = exception;
  self->decoding.store(decoded);
  return object;
}

bool add_task_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_getset, kProperties},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {Py_tp_new, slot(refuse_new)},
                         {0, nullptr}};
  the_type =
      add_type(module, {"_pyhost_core.Task", sizeof(Task), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots});
  return the_type != nullptr;
}

PyTypeObject* task_type() {
  return the_type;
}

}  // namespace pyhost::driver
