#include <driver/map_state.h>

#include <utility>

namespace pyhost::driver {

// Sequentially consistent on purpose: either the iterating thread sees the slot ready after it
// announced what it awaits, or this thread sees the announcement.
void MapState::item_settled(const Slot& slot, bool last_of_batch) {
  bool wake = awaited_.load() == &slot;
  if (last_of_batch) wake |= open_batches_.fetch_sub(1) - 1 <= awaited_batches_.load();
  if (!wake) return;
  std::shared_ptr<pool::Event> waiter;
  {
    const std::lock_guard lock(mutex_);
    waiter = waiter_;
  }
  if (waiter) waiter->set();
}

std::shared_ptr<pool::Event> MapState::await(const Slot& slot, int batches) {
  auto event = std::make_shared<pool::Event>();
  {
    const std::lock_guard lock(mutex_);
    waiter_ = event;
  }
  awaited_.store(&slot);
  awaited_batches_.store(batches);
  if (slot.ready.load() || open_batches_.load() <= batches) event->set();
  return event;
}

void MapBatch::settle(std::uint32_t item, pool::Outcome outcome) {
  Slot& slot = slots_[item];
  slot.outcome = std::move(outcome);
  slot.ready.store(true);
  map_->item_settled(slot, left_.fetch_sub(1) == 1);
}

}  // namespace pyhost::driver
