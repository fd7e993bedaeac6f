// map_state.h: outcomes of a map on their way from the threads that drain replies to the one that
// iterates.
#pragma once

#include <Python.h>
#include <base/fork_guard.h>
#include <driver/bell.h>
#include <driver/completions.h>
#include <pool/engine.h>
#include <python/ref.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

namespace pyhost::driver {

// What became of one item, or results of consecutive items that came together; or the exception of
// an item that could not be sent, which stands in a batch that no engine has.
using Segment = std::variant<pool::Outcome, pool::Run, python::PyRef>;

// How many items it is about.
std::uint32_t items_of(const Segment& segment);

class MapBatch;

// What the iterating thread waits for, and how it is woken.
//
// Threads: any; one iterating thread at a time.
class MapState {
 public:
  // `unordered`: segments are taken as they come, from here instead of from their batch.
  explicit MapState(bool unordered) : unordered_(unordered) {}

  // Batches not completely settled.
  int open_batches() const;
  void batch_opened();

  // An event that is set once `item` of `batch` (null: none) has its outcome or, with `batches` not
  // negative, once no more than that many batches are open. It may be set already. Unordered, any
  // item will do.
  std::shared_ptr<pool::Event> await(const MapBatch* batch, std::uint32_t item, int batches);

  // The same for an event loop: `bell` gets `waiter` then. False: that is so already. A later call
  // takes the place of this one. Requires: the GIL.
  bool ring(const MapBatch* batch, std::uint32_t item, int batches, std::shared_ptr<Bell> bell,
            PyObject* waiter);
  // Nobody is to be told or to take anything any more: drops what has arrived, and what still will,
  // and sets what `await_room` returned. Nothing in a forked copy. Requires: the GIL.
  void abandon();
  // Shows the collector the exceptions that have arrived, which may refer to the iterator by way of
  // their frames. Nothing in a forked copy. Requires: the GIL.
  int traverse(visitproc visit, void* arg) const;
  // An event that is set when no batch is open; for any number of threads.
  std::shared_ptr<pool::Event> await_all();

  // The same once no more than that many are open, not negative, or at `notify_room`; for one
  // thread.
  std::shared_ptr<pool::Event> await_room(int batches);
  void notify_room();
  // Sets what `await` returned, so that its thread looks again.
  void poke();

  // Whether there is something to `take`. Requires, with `take`: unordered.
  bool arrived() const;
  std::pair<const MapBatch*, Segment> take();

  // The settler gets `object` once no batch is open, if some is now. Requires: the GIL, and that
  // all batches are opened; once only.
  bool watch(std::shared_ptr<Completions> settler, PyObject* object);

 private:
  friend class MapBatch;
  void settled(const MapBatch& batch, std::uint32_t first, bool last_of_batch,
               std::unique_lock<std::mutex> lock);
  bool awaits(const MapBatch* batch, std::uint32_t item, int batches);
  bool is_copy() const { return base::fork_generation() != generation_; }

  const bool unordered_;
  const unsigned generation_ = base::fork_generation();
  mutable std::mutex mutex_;  // of the batches, too
  std::deque<std::pair<const MapBatch*, Segment>> arrived_;
  bool abandoned_ = false;
  PyObject* watcher_ = nullptr;  // a reference
  std::shared_ptr<Completions> settler_;
  int open_batches_ = 0;
  const MapBatch* awaited_ = nullptr;
  std::uint32_t awaited_item_ = 0;
  int awaited_batches_ = -1;
  std::shared_ptr<pool::Event> waiter_;  // shared, so that it outlives whoever sets it
  std::shared_ptr<Bell> bell_;           // this and the next instead: both or none
  PyObject* looped_ = nullptr;           // a reference
  std::shared_ptr<pool::Event> room_;    // what `await_room` returned; null once it is set
  int room_batches_ = -1;
  std::shared_ptr<pool::Event> all_;  // what `await_all` returned; null once it is set
};

// Where the items of one batch settle.
class MapBatch : public pool::Sink {
 public:
  MapBatch(std::shared_ptr<MapState> map, std::uint32_t count)
      : map_(std::move(map)), count_(count), left_(count) {}

  void settle(std::uint32_t item, pool::Outcome outcome) override;
  void settle_run(pool::Run run) override;

  // Settles the only item, which could not be sent. Requires: the GIL.
  void refuse(python::PyRef exception) { put(0, 1, std::move(exception)); }

  // Whether there is something to `take` for `item`: the first, or the one behind what was taken.
  // Not of an unordered map, as the next.
  bool ready(std::uint32_t item) const;
  // Requires: ready(item).
  Segment take(std::uint32_t item);
  std::uint32_t count() const { return count_; }
  bool settled() const;
  int traverse(visitproc visit, void* arg) const;  // as that of the map

 private:
  friend class MapState;
  void put(std::uint32_t first, std::uint32_t items, Segment segment);

  const std::shared_ptr<MapState> map_;
  const std::uint32_t count_;
  std::uint32_t left_;                         // guarded by the map's mutex, as is the next
  std::map<std::uint32_t, Segment> segments_;  // by their first item
};

}  // namespace pyhost::driver
