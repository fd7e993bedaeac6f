// map_state.h: outcomes of a map on their way from the threads that drain replies to the one that
// iterates.
#pragma once

#include <driver/bell.h>
#include <pool/engine.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <variant>

namespace pyhost::driver {

// What became of one item, or results of consecutive items that came together.
using Segment = std::variant<pool::Outcome, pool::Run>;

class MapBatch;

// What the iterating thread waits for, and how it is woken.
//
// Threads: any; one iterating thread at a time.
class MapState {
 public:
  // Batches not completely settled.
  int open_batches() const;
  void batch_opened();

  // An event that is set once `item` of `batch` (null: none) has its outcome or, with `batches` not
  // negative, once no more than that many batches are open. It may be set already.
  std::shared_ptr<pool::Event> await(const MapBatch* batch, std::uint32_t item, int batches);

  // The same for an event loop: `bell` gets `waiter` then. False: that is so already. A later call
  // takes the place of this one. Requires: the GIL.
  bool ring(const MapBatch* batch, std::uint32_t item, int batches, std::shared_ptr<Bell> bell,
            PyObject* waiter);
  // Nobody is to be told any more. Requires: the GIL.
  void forget_waiter();

 private:
  friend class MapBatch;
  void settled(const MapBatch& batch, std::uint32_t first, bool last_of_batch,
               std::unique_lock<std::mutex> lock);
  bool awaits(const MapBatch* batch, std::uint32_t item, int batches);

  mutable std::mutex mutex_;  // of the batches, too
  int open_batches_ = 0;
  const MapBatch* awaited_ = nullptr;
  std::uint32_t awaited_item_ = 0;
  int awaited_batches_ = -1;
  std::shared_ptr<pool::Event> waiter_;  // shared, so that it outlives whoever sets it
  std::shared_ptr<Bell> bell_;           // this and the next instead: both or none
  PyObject* looped_ = nullptr;           // a reference
};

// Where the items of one batch settle.
class MapBatch : public pool::Sink {
 public:
  MapBatch(std::shared_ptr<MapState> map, std::uint32_t count)
      : map_(std::move(map)), count_(count), left_(count) {}

  void settle(std::uint32_t item, pool::Outcome outcome) override;
  void settle_run(pool::Run run) override;

  // Whether there is something to `take` for `item`: the first, or the one behind what was taken.
  bool ready(std::uint32_t item) const;
  // Requires: ready(item).
  Segment take(std::uint32_t item);
  std::uint32_t count() const { return count_; }
  bool settled() const;

 private:
  friend class MapState;
  void put(std::uint32_t first, std::uint32_t items, Segment segment);

  const std::shared_ptr<MapState> map_;
  const std::uint32_t count_;
  std::uint32_t left_;                         // guarded by the map's mutex, as is the next
  std::map<std::uint32_t, Segment> segments_;  // by their first item
};

}  // namespace pyhost::driver
