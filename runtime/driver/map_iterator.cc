// map_iterator.cc: keeps the workers of a map busy, and yields its results in order.
//
//   input --pull, encode--> open batches --settled--> yielded in order
//           `pump`            at most kBatchesPerWorker per worker
//
// Pumping happens in the iterating thread alone, so a consumer that is slow, or stops, holds the
// input back. Only while that thread waits for the oldest item does it read further ahead, up to a
// bound, so that one long item does not leave the other workers idle.
#include <Python.h>
#include <driver/map_iterator.h>
#include <driver/map_state.h>
#include <driver/outcome.h>
#include <driver/unlocked.h>

#include <algorithm>
#include <deque>
#include <new>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

// Halved: workers run dry while the consumer uses a result. Doubled: more is read ahead for
// nothing when the consumer stops.
constexpr int kBatchesPerWorker = 4;
// Slots of a batch cost about 150 bytes each until they are yielded.
constexpr std::uint32_t kLargestBatch = 8192;

struct OpenBatch {
  std::shared_ptr<MapBatch> sink;
  pool::Ticket ticket;
};

// The iterator's C++ half.
class Map {
 public:
  Map(std::shared_ptr<EngineHandle> handle, MapInput input, const MapSettings& settings,
      int workers)
      : handle_(std::move(handle)),
        input_(std::move(input)),
        settings_(settings),
        target_(workers * kBatchesPerWorker),
        ahead_(settings.ahead != 0 ? settings.ahead
                                   : kLargestBatch * static_cast<std::uint32_t>(target_)) {}

  // Submits batches while there is room. `waiting`: the oldest item is not ready. False with an
  // exception set.
  bool pump(bool waiting);
  // The next result; null with an exception, or without one at the end.
  PyRef next();
  // Runs what is left of the input and drops the results. False with an exception set.
  bool finish();
  // Cancels what has not started, and forgets the rest.
  void cancel();

  MapInput& input() { return input_; }
  bool started = false;
  bool busy = false;  // in `next` on some thread, or below it on this one

 private:
  bool room(bool waiting) const;
  bool submit_batch(pool::Engine& engine);
  bool wait(Slot& slot);
  pool::Outcome advance();

  std::shared_ptr<EngineHandle> handle_;
  MapInput input_;
  MapSettings settings_;
  int target_;
  std::uint32_t ahead_;
  std::shared_ptr<MapState> state_ = std::make_shared<MapState>();
  std::deque<OpenBatch> batches_;
  std::uint32_t position_ = 0;  // in the oldest batch
  std::uint64_t unyielded_ = 0;
};

bool Map::room(bool waiting) const {
  if (input_.ended() || unyielded_ >= ahead_ || state_->open_batches() >= target_) return false;
  return waiting || batches_.size() < static_cast<std::size_t>(target_);
}

bool Map::pump(bool waiting) {
  if (!room(waiting)) return true;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  if (!engine) return false;
  while (room(waiting)) {
    if (!submit_batch(*engine)) break;
  }
  return true;
}

bool Map::submit_batch(pool::Engine& engine) {
  std::uint32_t wanted = settings_.count;
  if (wanted == 0) {
    const auto suggest = [&] { return engine.suggested_count(settings_.function); };
    wanted = std::min(without_gil(suggest), kLargestBatch);
  }
  const std::uint64_t left = ahead_ - unyielded_;
  pool::Batch batch;
  batch.function = settings_.function;
  batch.codec = wire::Codec::pickle;
  batch.style = settings_.style;
  input_.fill(batch, static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, 1, left)));
  if (batch.count == 0) return false;
  auto sink = std::make_shared<MapBatch>(state_, batch.count);
  batch.sink = sink;
  unyielded_ += batch.count;
  state_->batch_opened();
  pool::Ticket ticket = without_gil([&] { return engine.submit(std::move(batch)); });
  handle_->remember(ticket);
  batches_.push_back({std::move(sink), std::move(ticket)});
  return true;
}

// False with an exception set.
bool Map::wait(Slot& slot) {
  while (!slot.ready.load()) {
    if (!pump(true)) return false;
    // Below the target once more there is input to send meanwhile.
    const bool more = !input_.ended() && unyielded_ < ahead_;
    const std::shared_ptr<pool::Event> event = state_->await(slot, more ? target_ - 1 : -1);
    bool timed_out = false;
    if (!handle_->wait(*event, settings_.deadline, timed_out)) return false;
    if (timed_out && !slot.ready.load()) {
      raise_futures_error("TimeoutError");
      return false;
    }
  }
  return true;
}

pool::Outcome Map::advance() {
  OpenBatch& oldest = batches_.front();
  pool::Outcome outcome = std::move(oldest.sink->slot(position_).outcome);
  --unyielded_;
  if (++position_ == oldest.sink->count()) {
    batches_.pop_front();
    position_ = 0;
  }
  return outcome;
}

PyRef Map::next() {
  if (!pump(false)) return {};
  if (batches_.empty()) {
    const PyRef failure = input_.take_failure();
    if (failure) raise(failure.get());
    return {};
  }
  if (!wait(batches_.front().sink->slot(position_))) return {};
  Decoded decoded = decode(advance());
  if (decoded.exception) raise(decoded.exception.get());
  return std::move(decoded.value);
}

bool Map::finish() {
  for (;;) {
    if (!pump(false)) return false;
    if (batches_.empty()) return true;
    if (!wait(batches_.front().sink->slot(position_))) return false;
    static_cast<void>(advance());
  }
}

void Map::cancel() {
  input_.clear();
  const std::deque<OpenBatch> batches = std::exchange(batches_, {});
  unyielded_ = 0;
  if (batches.empty() || !handle_->usable()) return;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  without_gil([&] {
    for (const OpenBatch& batch : batches) {
      if (!batch.sink->settled()) engine->cancel(batch.ticket, std::nullopt, false);
    }
  });
}

struct MapIterator {
  PyObject_HEAD Map* map;
};

PyTypeObject* the_type = nullptr;

Map& map_of(PyObject* self) {
  return *reinterpret_cast<MapIterator*>(self)->map;
}

// An exception ends the iteration, as it ends a generator.
PyObject* next(PyObject* self) {
  Map& map = map_of(self);
  if (map.busy) {
    PyErr_SetString(PyExc_ValueError, "another thread is waiting for the next result of this map");
    return nullptr;
  }
  map.busy = map.started = true;
  PyRef value = map.next();
  map.busy = false;
  if (value) return value.release();
  PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &error, &trace);
  map.cancel();
  PyErr_Restore(type, error, trace);
  return nullptr;
}

PyObject* close(PyObject* self, PyObject*) {
  if (!map_of(self).busy) map_of(self).cancel();
  Py_RETURN_NONE;
}

PyObject* finish(PyObject* self, PyObject*) {
  Map& map = map_of(self);
  if (map.started || map.busy) Py_RETURN_NONE;
  map.busy = map.started = true;
  const bool ok = map.finish();
  map.busy = false;
  if (!ok) return nullptr;
  Py_RETURN_NONE;
}

PyObject* is_started(PyObject* self, PyObject*) {
  return PyBool_FromLong(map_of(self).started);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Map* map = reinterpret_cast<MapIterator*>(self)->map;
  return map != nullptr ? map->input().traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
  map_of(self).input().clear();
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  MapIterator* iterator = reinterpret_cast<MapIterator*>(self);
  if (iterator->map != nullptr) {
    PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &error, &trace);
    iterator->map->cancel();
    delete std::exchange(iterator->map, nullptr);
    PyErr_Restore(type, error, trace);
  }
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef kMethods[] = {
    {"close", close, METH_NOARGS, "cancels what has not started"},
    {"_finish", finish, METH_NOARGS, "runs everything and drops the results, unless started"},
    {"_started", is_started, METH_NOARGS, "whether a result was asked for"},
    {nullptr, nullptr, 0, nullptr}};

template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

PyObject* make_map_iterator(const std::shared_ptr<EngineHandle>& handle, MapInput input,
                            const MapSettings& settings) {
  const std::shared_ptr<pool::Engine> engine = handle->engine();
  if (!engine) return nullptr;
  PyRef self = PyRef::steal(the_type->tp_alloc(the_type, 0));
  if (!self) return nullptr;
  MapIterator* iterator = reinterpret_cast<MapIterator*>(self.get());
  iterator->map =
      new Map(handle, std::move(input), settings, without_gil([&] { return engine->workers(); }));
  iterator->map->busy = true;  // the input may run code that finds this iterator
  const bool ok = iterator->map->pump(false);
  iterator->map->busy = false;
  return ok ? self.release() : nullptr;
}

bool add_map_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_iter, slot(PyObject_SelfIter)},
                         {Py_tp_iternext, slot(next)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {0, nullptr}};
  PyType_Spec spec = {"_pyhost_core.MapIterator", sizeof(MapIterator), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
  PyRef type = PyRef::steal(PyType_FromSpec(&spec));
  if (!type) return false;
  the_type = reinterpret_cast<PyTypeObject*>(type.get());
  the_type->tp_new = nullptr;
  return PyModule_AddObject(module, "MapIterator", type.release()) == 0;
}

}  // namespace pyhost::driver
