#include <Python.h>
#include <driver/limits.h>
#include <driver/map_iterator.h>
#include <driver/outcome.h>
#include <driver/slot.h>
#include <driver/unlocked.h>
#include <python/marshal.h>
#include <structmember.h>

#include <cstddef>
#include <optional>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct MapIterator {
  PyObject_HEAD Map* map;
  PyObject* weak_references;
};

PyTypeObject* the_type = nullptr;

Map& map_of(PyObject* self) {
  return *reinterpret_cast<MapIterator*>(self)->map;
}

// A StopIteration that an item raised would look like the end of the results: it becomes what a
// generator makes of it. Requires: an exception is set.
void keep_from_ending() {
  if (PyErr_ExceptionMatches(PyExc_StopIteration) == 0) return;
  const PyRef stop = take_exception();
  PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
  const PyRef error = take_exception();
  PyException_SetCause(error.get(), PyRef::borrow(stop.get()).release());
  PyException_SetContext(error.get(), PyRef::borrow(stop.get()).release());
  raise(error.get());
}

// An exception ends the iteration, as it ends a generator, unless the map goes on.
PyObject* next_before(PyObject* self, base::Deadline deadline) {
  Map& map = map_of(self);
  if (!map.enter(false)) return nullptr;
  map.started = true;
  PyRef value = map.next(deadline);
  map.leave();
  if (value) return value.release();
  if (map.goes_on() && PyErr_Occurred() != nullptr) {
    const PyRef error = take_exception();
    const PyRef other = PyRef::steal(PyObject_CallMethod(self, "_failure", "O", error.get()));
    if (other) raise(other.get());
    keep_from_ending();
    return nullptr;
  }
  if (PyErr_Occurred() != nullptr) keep_from_ending();
  PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &error, &trace);
  map.cancel();
  PyErr_Restore(type, error, trace);
  return nullptr;
}

PyObject* next(PyObject* self) {
  return next_before(self, base::Deadline::never());
}

// False with an exception set.
bool read_timeout(PyObject* timeout, base::Deadline& deadline) {
  std::optional<base::Duration> duration;
  if (!read_duration(timeout, duration)) return false;
  if (duration) deadline = base::Deadline::in(*duration);
  return true;
}

PyObject* next_or_timeout(PyObject* self, PyObject* timeout) {
  base::Deadline deadline = base::Deadline::never();
  if (!read_timeout(timeout, deadline)) return nullptr;
  PyObject* value = next_before(self, deadline);
  if (value == nullptr && PyErr_Occurred() == nullptr) PyErr_SetNone(PyExc_StopIteration);
  return value;
}

PyObject* feed(PyObject* self, PyObject*) {
  map_of(self).feed();
  Py_RETURN_NONE;
}

PyObject* wait_settled(PyObject* self, PyObject* timeout) {
  base::Deadline deadline = base::Deadline::never();
  if (!map_of(self).refuse_copy() || !read_timeout(timeout, deadline)) return nullptr;
  const std::optional<bool> settled = map_of(self).wait_settled(deadline);
  return settled ? PyBool_FromLong(*settled) : nullptr;
}

PyObject* watch(PyObject* self, PyObject* object) {
  if (!map_of(self).refuse_copy()) return nullptr;
  return PyBool_FromLong(map_of(self).watch(object));
}

PyObject* open_batches(PyObject* self, void*) {
  if (!map_of(self).refuse_copy()) return nullptr;
  return PyLong_FromLong(map_of(self).state().open_batches());
}

PyObject* timed_out(PyObject* self, void*) {
  return PyBool_FromLong(map_of(self).timed_out);
}

// For event loops, which must not wait here.
PyObject* take(PyObject* self, PyObject* most) {
  const std::size_t count = PyLong_AsSize_t(most);
  if (PyErr_Occurred() != nullptr) return nullptr;
  Map& map = map_of(self);
  if (!map.enter(false)) return nullptr;
  map.started = true;
  PyRef taken = map.take_ready(count);
  map.leave();
  if (taken && taken.get() != Py_None) return taken.release();
  const python::ExceptionAside aside;
  map.cancel();
  return taken.release();
}

PyObject* ring(PyObject* self, PyObject* args) {
  PyObject *bell_object = nullptr, *waiter = nullptr;
  if (!PyArg_ParseTuple(args, "OO:_ring", &bell_object, &waiter)) return nullptr;
  std::shared_ptr<Bell> bell = bell_of(bell_object);
  Map& map = map_of(self);
  if (!bell || !map.enter(false)) return nullptr;
  const int rings = map.ring(std::move(bell), waiter);
  map.leave();
  return rings < 0 ? nullptr : PyBool_FromLong(rings);
}

PyObject* close(PyObject* self, PyObject* args, PyObject* names) {
  static const char* kNames[] = {"force", nullptr};
  int force = 0;
  if (!PyArg_ParseTupleAndKeywords(args, names, "|p:close", const_cast<char**>(kNames), &force)) {
    return nullptr;
  }
  Map& map = map_of(self);
  if (map.busy()) Py_RETURN_NONE;
  map.started = true;
  map.cancel(force != 0);
  Py_RETURN_NONE;
}

PyObject* finish(PyObject* self, PyObject* wait) {
  Map& map = map_of(self);
  if (map.is_fed()) {
    if (wait == Py_True && !map.finish_feed()) return nullptr;
    Py_RETURN_NONE;
  }
  if (map.busy_here()) Py_RETURN_NONE;  // its own input closes the engine
  if (!map.runs_unread()) Py_RETURN_NONE;
  if (!map.enter(true)) return nullptr;
  const bool ok = map.finish(wait == Py_True);
  map.leave();
  if (!ok) return nullptr;
  Py_RETURN_NONE;
}

PyObject* refuse_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyErr_Format(PyExc_TypeError, "`%s` objects are made by calling `map`", type->tp_name);
  return nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Map* map = reinterpret_cast<MapIterator*>(self)->map;
  return map != nullptr ? map->traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
  map_of(self).clear();
  return 0;
}

// Runs the user's input, which dealloc must not.
void finalize(PyObject* self) {
  Map* map = reinterpret_cast<MapIterator*>(self)->map;
  if (map == nullptr || map->started || map->busy()) return;
  PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &error, &trace);
  if (map->enter(true)) {
    const bool ok = map->finish(false);
    map->leave();
    if (!ok) PyErr_WriteUnraisable(self);
  } else {
    PyErr_Clear();  // a copy of the process
  }
  PyErr_Restore(type, error, trace);
}

void dealloc(PyObject* self) {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;  // somebody has it again
  PyObject_GC_UnTrack(self);
  if (reinterpret_cast<MapIterator*>(self)->weak_references != nullptr) {
    PyObject_ClearWeakRefs(self);
  }
  MapIterator* iterator = reinterpret_cast<MapIterator*>(self);
  if (iterator->map != nullptr) {
    PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &error, &trace);
    iterator->map->forget();
    delete std::exchange(iterator->map, nullptr);
    PyErr_Restore(type, error, trace);
  }
  free_object(self);
}

PyMethodDef kMethods[] = {
    {"close", reinterpret_cast<PyCFunction>(slot(close)), METH_VARARGS | METH_KEYWORDS,
     "close(force=False): cancels what has not started, or all"},
    {"_take", take, METH_O, "_take(most): the results that are there, as a list; None at the end"},
    {"_ring", ring, METH_VARARGS,
     "_ring(bell, waiter): pushes `waiter` when it is worth to `_take` again; "
     "False: it is now"},
    {"_finish", finish, METH_O,
     "submits what is left of an input that has an end; whether to wait"},
    {"_next", next_or_timeout, METH_O, "_next(timeout): the next result"},
    {"_feed", feed, METH_NOARGS, "reads the input of a map that is fed, in a thread of its own"},
    {"_wait", wait_settled, METH_O,
     "_wait(timeout): whether all that was submitted has its outcome"},
    {"_watch", watch, METH_O,
     "_watch(object): it goes to the settler when all has its outcome; False: all has"},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kProperties[] = {
    {"_open", open_batches, nullptr, "batches without all of their outcomes", nullptr},
    {"_timed_out", timed_out, nullptr, "whether the last `_next` did", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef kMembers[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(MapIterator, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

}  // namespace

PyObject* make_map_iterator(const std::shared_ptr<EngineHandle>& handle, MapInput input,
                            const MapSettings& settings, PyObject* owner, PyTypeObject* type) {
  if (type == nullptr) type = the_type;
  const std::shared_ptr<pool::Engine> engine = handle->engine();
  if (!engine) return nullptr;
  PyRef self = PyRef::steal(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  MapIterator* iterator = reinterpret_cast<MapIterator*>(self.get());
  iterator->map =
      new Map(handle, std::move(input), settings, without_gil([&] { return engine->workers(); }),
              without_gil([&] { return engine->calls_at_once(); }), owner);
  iterator->map->enter(false);  // the input may run code that finds this iterator
  const bool ok = iterator->map->begin();
  iterator->map->leave();
  if (!ok && !settings.eager) iterator->map->started = true;  // nobody is going to miss it
  return ok ? self.release() : nullptr;
}

bool add_map_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_iter, slot(PyObject_SelfIter)},
                         {Py_tp_iternext, slot(next)},
                         {Py_tp_members, kMembers},
                         {Py_tp_getset, kProperties},
                         {Py_tp_new, slot(refuse_new)},
                         {Py_tp_finalize, slot(finalize)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {0, nullptr}};
  the_type =
      add_type(module, {"_pyhost_core.MapIterator", sizeof(MapIterator), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots});
  return the_type != nullptr;
}

PyTypeObject* map_iterator_type() {
  return the_type;
}

}  // namespace pyhost::driver
