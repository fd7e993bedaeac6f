#include <Python.h>
#include <driver/map_state.h>
#include <python/ref.h>

#include <utility>

namespace pyhost::driver {

int MapState::open_batches() const {
  const std::lock_guard lock(mutex_);
  return open_batches_;
}

void MapState::batch_opened() {
  const std::lock_guard lock(mutex_);
  ++open_batches_;
}

std::shared_ptr<pool::Event> MapState::await(const MapBatch* batch, std::uint32_t item,
                                             int batches) {
  auto event = std::make_shared<pool::Event>();
  const std::lock_guard lock(mutex_);
  waiter_ = event;
  if (!awaits(batch, item, batches)) event->set();
  return event;
}

// Notes what is awaited. False: it is there. Requires: mutex_.
bool MapState::awaits(const MapBatch* batch, std::uint32_t item, int batches) {
  awaited_ = batch;
  awaited_item_ = item;
  awaited_batches_ = batches;
  const bool there = batch != nullptr && batch->segments_.count(item) != 0;
  return !there && open_batches_ > batches;
}

bool MapState::ring(const MapBatch* batch, std::uint32_t item, int batches,
                    std::shared_ptr<Bell> bell, PyObject* waiter) {
  python::PyRef before;  // dropped without the lock
  const std::lock_guard lock(mutex_);
  before = python::PyRef::steal(std::exchange(looped_, nullptr));
  bell_ = nullptr;
  if (!awaits(batch, item, batches)) return false;
  bell_ = std::move(bell);
  looped_ = python::PyRef::borrow(waiter).release();
  return true;
}

void MapState::forget_waiter() {
  python::PyRef before;
  const std::lock_guard lock(mutex_);
  before = python::PyRef::steal(std::exchange(looped_, nullptr));
  bell_ = nullptr;
}

void MapState::settled(const MapBatch& batch, std::uint32_t first, bool last_of_batch,
                       std::unique_lock<std::mutex> lock) {
  if (last_of_batch) --open_batches_;
  const bool wakes = (awaited_ == &batch && awaited_item_ == first) ||
                     (last_of_batch && open_batches_ <= awaited_batches_);
  if (!wakes) return;
  const std::shared_ptr<pool::Event> waiter = std::exchange(waiter_, nullptr);
  const std::shared_ptr<Bell> bell = std::exchange(bell_, nullptr);
  PyObject* looped = std::exchange(looped_, nullptr);
  lock.unlock();
  if (bell) bell->push(looped);
  if (waiter) waiter->set();
}

void MapBatch::put(std::uint32_t first, std::uint32_t items, Segment segment) {
  std::unique_lock lock(map_->mutex_);
  segments_.emplace(first, std::move(segment));
  left_ -= items;
  map_->settled(*this, first, left_ == 0, std::move(lock));
}

void MapBatch::settle(std::uint32_t item, pool::Outcome outcome) {
  put(item, 1, std::move(outcome));
}

void MapBatch::settle_run(pool::Run run) {
  const std::uint32_t first = run.first;
  const std::uint32_t count = run.count;
  put(first, count, std::move(run));
}

bool MapBatch::ready(std::uint32_t item) const {
  const std::lock_guard lock(map_->mutex_);
  return segments_.count(item) != 0;
}

Segment MapBatch::take(std::uint32_t item) {
  const std::lock_guard lock(map_->mutex_);
  auto node = segments_.extract(item);
  return std::move(node.mapped());
}

bool MapBatch::settled() const {
  const std::lock_guard lock(map_->mutex_);
  return left_ == 0;
}

}  // namespace pyhost::driver
