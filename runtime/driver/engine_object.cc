#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/context.h>
#include <driver/engine_object.h>
#include <driver/fleet.h>
#include <driver/handle.h>
#include <driver/item.h>
#include <driver/limits.h>
#include <driver/map_iterator.h>
#include <driver/outcome.h>
#include <driver/setup.h>
#include <driver/slot.h>
#include <driver/task.h>
#include <driver/unlocked.h>
#include <python/ref.h>
#include <sys/wait.h>

#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct EngineObject {
  PyObject_HEAD std::shared_ptr<EngineHandle> handle;
  PyObject* dumps;
  PyObject* carry;  // see context.h; may be null
};

EngineObject* engine_object(PyObject* self) {
  return reinterpret_cast<EngineObject*>(self);
}

std::shared_ptr<pool::Engine> engine_of(PyObject* self) {
  return engine_object(self)->handle->engine();
}

PyObject* new_engine(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  Wanted wanted;
  PyObject* dumps = nullptr;
  if (!read_wanted(args, kwargs, wanted, &dumps)) return nullptr;
  const bool own_arrays = wanted.own_arrays > 0;
  // Allocated first: the snapshot must not be lost for want of memory.
  PyRef self = PyRef::steal(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  EngineObject* object = engine_object(self.get());
  new (&object->handle) std::shared_ptr<EngineHandle>();
  Py_INCREF(dumps);
  object->dumps = dumps;
  Result<std::shared_ptr<pool::Engine>> engine = start_engine(std::move(wanted));
  if (!engine.ok()) {
    const PyRef error = exception_of(engine.error());
    if (error) raise(error.get());
    return nullptr;
  }
  object->handle = std::make_shared<EngineHandle>(std::move(*engine), own_arrays);
  return self.release();
}

PyObject* define(PyObject* self, PyObject* args) {
  const char *codec = nullptr, *name = nullptr;
  PyObject* definition = nullptr;
  if (!PyArg_ParseTuple(args, "sOs:define", &codec, &definition, &name)) return nullptr;
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  if (!engine) return nullptr;
  std::string bytes;
  wire::Codec kind = wire::Codec::pickle;
  if (!read_definition(codec, definition, kind, bytes)) return nullptr;
  return PyLong_FromUnsignedLong(
      without_gil([&] { return engine->define(kind, std::move(bytes), name); }));
}

PyObject* submit(PyObject* object, PyObject* const* args, Py_ssize_t count) {
  EngineObject* self = engine_object(object);
  if (count != 5 || !PyType_Check(args[0]) || !PyTuple_CheckExact(args[2]) ||
      !(args[3] == Py_None || PyDict_CheckExact(args[3]))) {
    PyErr_SetString(PyExc_TypeError, "expected submit(type, function, args, kwargs, limits)");
    return nullptr;
  }
  PyTypeObject* type = reinterpret_cast<PyTypeObject*>(args[0]);
  if (PyType_IsSubtype(type, task_type()) == 0) {
    PyErr_SetString(PyExc_TypeError, "the type of a future must be derived from Task");
    return nullptr;
  }
  pool::Batch batch;
  batch.function = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(args[1]));
  PyRef context;
  if (PyErr_Occurred() != nullptr || !read_limits(args[4], batch.limits) ||
      !take_context(self->carry, context) ||
      !encode_call(args[2], args[3], context.get(), self->dumps, batch)) {
    return nullptr;
  }
  return submit_task(type, self->handle, std::move(batch));
}

// Null with an exception set, else an iterator; `settings` lacks only the style.
PyObject* start_map(EngineObject* self, MapSettings& settings, PyObject* items, int style,
                    PyObject* owner, PyTypeObject* type) {
  if (!PyIter_Check(items) && !PyRange_Check(items) && !PyObject_CheckBuffer(items)) {
    PyErr_SetString(PyExc_TypeError, "expected an iterator");
    return nullptr;
  }
  settings.style = style == 0   ? wire::Style::value
                   : style == 1 ? wire::Style::args
                                : wire::Style::within;
  MapInput input(PyRef::borrow(items), style == 0, PyRef::borrow(self->dumps));
  return make_map_iterator(self->handle, std::move(input), settings, owner, type);
}

PyObject* map(PyObject* object, PyObject* args) {
  EngineObject* self = engine_object(object);
  MapSettings settings;
  PyObject *iterator = nullptr, *timeout = nullptr, *owner = nullptr, *limits = nullptr;
  int style = 0, runs_unread = 0, has_end = 0;
  if (!PyArg_ParseTuple(args, "IOiIIOppOO:map", &settings.function, &iterator, &style,
                        &settings.count, &settings.ahead, &timeout, &runs_unread, &has_end, &owner,
                        &limits) ||
      !read_limits(limits, settings.limits)) {
    return nullptr;
  }
  settings.runs_unread = settings.eager = runs_unread != 0;
  settings.has_end = has_end != 0;
  std::optional<base::Duration> duration;
  if (!read_duration(timeout, duration)) return nullptr;
  if (duration) settings.deadline = base::Deadline::in(*duration);
  return start_map(self, settings, iterator, style, owner, nullptr);
}

PyObject* stream(PyObject* object, PyObject* args) {
  EngineObject* self = engine_object(object);
  MapSettings settings;
  PyObject *type = nullptr, *iterator = nullptr, *owner = nullptr, *limits = nullptr;
  int style = 0, unordered = 0, eager = 0, fed = 0;
  if (!PyArg_ParseTuple(args, "O!IOiIIpppOO:stream", &PyType_Type, &type, &settings.function,
                        &iterator, &style, &settings.count, &settings.per_call, &unordered, &eager,
                        &fed, &owner, &limits) ||
      !read_limits(limits, settings.limits)) {
    return nullptr;
  }
  auto* wanted = reinterpret_cast<PyTypeObject*>(type);
  if (PyType_IsSubtype(wanted, map_iterator_type()) == 0) {
    PyErr_SetString(PyExc_TypeError, "expected a type derived from MapIterator");
    return nullptr;
  }
  settings.goes_on = settings.runs_unread = true;
  settings.unordered = unordered != 0;
  settings.has_end = fed == 0;
  settings.eager = eager != 0;
  settings.fed = fed != 0;
  return start_map(self, settings, iterator, style, owner, wanted);
}

PyObject* start_drain(PyObject* self, PyObject*) {
  engine_object(self)->handle->start_drain();
  Py_RETURN_NONE;
}

PyObject* wait_drained(PyObject* self, PyObject*) {
  if (!engine_object(self)->handle->wait_drained()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* cancel_waiting(PyObject* self, PyObject*) {
  engine_object(self)->handle->cancel_waiting();
  Py_RETURN_NONE;
}

PyObject* kill(PyObject* self, PyObject*) {
  engine_object(self)->handle->kill();
  Py_RETURN_NONE;
}

PyObject* broadcast_call(PyObject* object, PyObject* args) {
  EngineObject* self = engine_object(object);
  pool::Batch batch;
  PyObject *call_args = nullptr, *kwargs = nullptr;
  PyRef context;
  if (!PyArg_ParseTuple(args, "IO!O:broadcast", &batch.function, &PyTuple_Type, &call_args,
                        &kwargs) ||
      !take_context(self->carry, context) ||
      !encode_call(call_args, kwargs, context.get(), self->dumps, batch)) {
    return nullptr;
  }
  return broadcast(self->handle, std::move(batch));
}

PyObject* find_stacks(PyObject* self, PyObject* seconds) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  std::optional<base::Duration> timeout;
  if (!engine || !read_duration(seconds, timeout)) return nullptr;
  return stacks(*engine, timeout ? base::Deadline::in(*timeout) : base::Deadline::never());
}

PyObject* find_stats(PyObject* self, PyObject*) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  return engine ? stats(*engine) : nullptr;
}

PyObject* find_processes(PyObject* self, PyObject* seconds) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  std::optional<base::Duration> timeout;
  if (!engine || !read_duration(seconds, timeout)) return nullptr;
  return processes(*engine, timeout ? base::Deadline::in(*timeout) : base::Deadline::never());
}

PyObject* pidfd(PyObject* self, PyObject* number) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  const long pid = PyLong_AsLong(number);
  if (!engine || (pid == -1 && PyErr_Occurred() != nullptr)) return nullptr;
  auto fd = without_gil([&] { return engine->pidfd(static_cast<pid_t>(pid)); });
  if (fd.ok()) return PyLong_FromLong(fd->release());
  PyErr_SetString(PyExc_ProcessLookupError, fd.error().message.c_str());
  return nullptr;
}

// As `multiprocessing.Process.exitcode` has it.
PyObject* exit_code(PyObject* self, PyObject* number) {
  const long pid = PyLong_AsLong(number);
  if (pid == -1 && PyErr_Occurred() != nullptr) return nullptr;
  const std::optional<int> status =
      engine_object(self)->handle->exits().find(static_cast<pid_t>(pid));
  if (!status) Py_RETURN_NONE;
  return PyLong_FromLong(WIFSIGNALED(*status) ? -WTERMSIG(*status) : WEXITSTATUS(*status));
}

PyObject* end_workers(PyObject* self, PyObject* number) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  const long signal = PyLong_AsLong(number);
  if (!engine || (signal == -1 && PyErr_Occurred() != nullptr)) return nullptr;
  without_gil([&] { engine->end_workers(static_cast<int>(signal)); });
  Py_RETURN_NONE;
}

PyObject* failure(PyObject* self, void*) {
  const EngineHandle& handle = *engine_object(self)->handle;
  std::optional<Error> fatal;
  if (handle.usable()) {
    const std::shared_ptr<pool::Engine> engine = handle.engine();
    fatal = without_gil([&] { return engine->fatal(); });
  }
  if (!fatal) Py_RETURN_NONE;
  return exception_of(*fatal).release();
}

PyObject* refuse_after_failed_start(PyObject* self, PyObject*) {
  engine_object(self)->handle->refuse_after_failed_start();
  Py_RETURN_NONE;
}

PyObject* broken(PyObject* self, void*) {
  return PyBool_FromLong(engine_object(self)->handle->broken());
}

PyObject* completions(PyObject* self, void*) {
  return PyRef::borrow(engine_object(self)->handle->completions_object()).release();
}

PyObject* workers(PyObject* self, void*) {
  const std::shared_ptr<pool::Engine> engine = engine_of(self);
  return engine ? PyLong_FromLong(without_gil([&] { return engine->workers(); })) : nullptr;
}

int set_carry(PyObject* self, PyObject* carry, void*) {
  if (carry == Py_None) carry = nullptr;
  const PyRef before =
      PyRef::steal(std::exchange(engine_object(self)->carry, PyRef::borrow(carry).release()));
  return 0;
}

PyObject* drained(PyObject* self, void*) {
  const EngineHandle& handle = *engine_object(self)->handle;
  return PyBool_FromLong(handle.drained() || !handle.usable());
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(engine_object(self)->dumps);
  Py_VISIT(engine_object(self)->carry);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(engine_object(self)->dumps);
  Py_CLEAR(engine_object(self)->carry);
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  std::destroy_at(&engine_object(self)->handle);
  free_object(self);
}

PyMethodDef kMethods[] = {
    {"define", define, METH_VARARGS, "define(codec, definition, name) -> number"},
    {"submit", reinterpret_cast<PyCFunction>(slot(submit)), METH_FASTCALL,
     "submit(type, function, args, kwargs, limits) -> task"},
    {"map", map, METH_VARARGS,
     "map(function, iterator, style, count, ahead, timeout, runs_unread, has_end, owner, limits)"},
    {"stream", stream, METH_VARARGS,
     "stream(type, function, iterator, style, count, per_call, unordered, eager, fed, owner, "
     "limits): a map that goes on"},
    {"start_drain", start_drain, METH_NOARGS, "accepts nothing new and finishes the rest"},
    {"wait_drained", wait_drained, METH_NOARGS, "waits for what `start_drain` began"},
    {"cancel_waiting", cancel_waiting, METH_NOARGS, "cancels what no worker is about to take"},
    {"kill", kill, METH_NOARGS, "cancels everything and kills the workers"},
    {"broadcast", broadcast_call, METH_VARARGS,
     "broadcast(function, args, kwargs) -> results, one per worker"},
    {"refuse_after_failed_start", refuse_after_failed_start, METH_NOARGS,
     "refuses calls when workers cannot start, instead of accepting and failing them"},
    {"stacks", find_stacks, METH_O,
     "stacks(timeout) -> a list of (worker, pid, call, seconds, stack)"},
    {"stats", find_stats, METH_NOARGS, "what the pool is doing, as a dict"},
    {"processes", find_processes, METH_O,
     "processes(timeout) -> a list of (number, pid, identity), once as many as wanted are there"},
    {"pidfd", pidfd, METH_O, "pidfd(pid) -> a descriptor of that worker, of the caller's own"},
    {"exit_code", exit_code, METH_O, "exit_code(pid): how that worker ended; None: not known"},
    {"end_workers", end_workers, METH_O,
     "end_workers(signal): cancels what has not started, accepts nothing new"},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kProperties[] = {
    {"workers", workers, nullptr, "configured number of workers", nullptr},
    {"failure", failure, nullptr, "the exception that says why nothing can run any more, or None",
     nullptr},
    {"broken", broken, nullptr, "whether calls are refused because nothing can run any more",
     nullptr},
    {"completions", completions, nullptr, "where outcomes go that are watched", nullptr},
    {"carry", nullptr, set_carry, "makes the context of a call, see pyhost._context", nullptr},
    {"drained", drained, nullptr, "whether nothing of it runs any more", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyTypeObject* the_type = nullptr;

}  // namespace

bool is_engine(PyObject* object) {
  return Py_TYPE(object) == the_type;
}

const std::shared_ptr<EngineHandle>& handle_of(PyObject* engine) {
  return engine_object(engine)->handle;
}

PyObject* carry_of(PyObject* engine) {
  return engine_object(engine)->carry;
}

PyObject* dumps_of(PyObject* engine) {
  return engine_object(engine)->dumps;
}

bool add_engine_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_getset, kProperties},
                         {Py_tp_new, slot(new_engine)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {0, nullptr}};
  the_type = add_type(module, {"_pyhost_core.Engine", sizeof(EngineObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots});
  return the_type != nullptr;
}

}  // namespace pyhost::driver
