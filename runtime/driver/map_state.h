// map_state.h: outcomes of a map on their way from the threads that drain replies to the one that
// iterates.
#pragma once

#include <pool/engine.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace pyhost::driver {

// One item of a batch. `outcome` may be read and moved out once `ready` is true.
struct Slot {
  pool::Outcome outcome;
  std::atomic<bool> ready{false};
};

// What the iterating thread waits for, and how it is woken.
//
// Threads: any; one iterating thread at a time.
class MapState {
 public:
  // Batches not completely settled.
  int open_batches() const { return open_batches_.load(); }
  void batch_opened() { open_batches_.fetch_add(1); }
  void item_settled(const Slot& slot, bool last_of_batch);

  // An event that is set once `slot` is ready or, with `batches` not negative, once no more than
  // that many batches are open. It may be set already.
  std::shared_ptr<pool::Event> await(const Slot& slot, int batches);

 private:
  std::atomic<int> open_batches_{0};
  std::atomic<const Slot*> awaited_{nullptr};
  std::atomic<int> awaited_batches_{-1};
  std::mutex mutex_;
  std::shared_ptr<pool::Event> waiter_;  // shared, so that it outlives whoever sets it
};

// Where the items of one batch settle.
class MapBatch : public pool::Sink {
 public:
  MapBatch(std::shared_ptr<MapState> map, std::uint32_t count)
      : map_(std::move(map)), slots_(count), left_(count) {}

  void settle(std::uint32_t item, pool::Outcome outcome) override;
  Slot& slot(std::uint32_t item) { return slots_[item]; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(slots_.size()); }
  bool settled() const { return left_.load() == 0; }

 private:
  std::shared_ptr<MapState> map_;
  std::vector<Slot> slots_;
  std::atomic<std::uint32_t> left_;
};

}  // namespace pyhost::driver
