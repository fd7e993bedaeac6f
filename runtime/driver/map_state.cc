#include <Python.h>
#include <driver/map_state.h>
#include <python/ref.h>

#include <utility>

namespace pyhost::driver {

namespace {

int visit_refusal(const Segment& segment, visitproc visit, void* arg) {
  if (const auto* refusal = std::get_if<python::PyRef>(&segment)) Py_VISIT(refusal->get());
  return 0;
}

}  // namespace

std::uint32_t items_of(const Segment& segment) {
  const auto* run = std::get_if<pool::Run>(&segment);
  return run != nullptr ? run->count : 1;
}

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
  const bool there = unordered_ ? batch != nullptr && !arrived_.empty()
                                : batch != nullptr && batch->segments_.count(item) != 0;
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

// Exceptions may have arrived. The batches keep this alive, and the last one ends in a thread
// without the GIL, so they have to go here.
void MapState::abandon() {
  // A thread that is not in this copy may hold the lock.
  if (is_copy()) return;
  python::PyRef before;  // dropped without the lock, as is the next
  decltype(arrived_) unread;
  std::unique_lock lock(mutex_);
  abandoned_ = true;
  before = python::PyRef::steal(std::exchange(looped_, nullptr));
  unread.swap(arrived_);
  bell_ = nullptr;
  lock.unlock();
  notify_room();
}

int MapState::traverse(visitproc visit, void* arg) const {
  if (is_copy()) return 0;  // see `abandon`
  const std::lock_guard lock(mutex_);
  for (const auto& [batch, segment] : arrived_) {
    if (const int stop = visit_refusal(segment, visit, arg); stop != 0) return stop;
  }
  return 0;
}

void MapState::settled(const MapBatch& batch, std::uint32_t first, bool last_of_batch,
                       std::unique_lock<std::mutex> lock) {
  if (last_of_batch) --open_batches_;
  PyObject* watcher = open_batches_ == 0 ? std::exchange(watcher_, nullptr) : nullptr;
  const auto all = open_batches_ == 0 ? std::exchange(all_, nullptr) : nullptr;
  std::shared_ptr<pool::Event> room;
  if (last_of_batch && open_batches_ <= room_batches_) room = std::exchange(room_, nullptr);
  const bool wakes = (unordered_ && awaited_ != nullptr) ||
                     (awaited_ == &batch && awaited_item_ == first) ||
                     (last_of_batch && open_batches_ <= awaited_batches_);
  const auto waiter = wakes ? std::exchange(waiter_, nullptr) : nullptr;
  const auto bell = wakes ? std::exchange(bell_, nullptr) : nullptr;
  PyObject* looped = wakes ? std::exchange(looped_, nullptr) : nullptr;
  lock.unlock();
  if (watcher != nullptr) settler_->push(watcher);
  if (bell) bell->push(looped);
  if (waiter) waiter->set();
  if (all) all->set();
  if (room) room->set();
}

std::shared_ptr<pool::Event> MapState::await_room(int batches) {
  const std::lock_guard lock(mutex_);
  auto event = std::make_shared<pool::Event>();
  room_batches_ = batches;
  room_ = event;
  if (open_batches_ <= batches) event->set();
  return event;
}

void MapState::notify_room() {
  std::unique_lock lock(mutex_);
  const auto room = std::exchange(room_, nullptr);
  lock.unlock();
  if (room) room->set();
}

void MapState::poke() {
  std::unique_lock lock(mutex_);
  const auto waiter = std::exchange(waiter_, nullptr);
  lock.unlock();
  if (waiter) waiter->set();
}

std::shared_ptr<pool::Event> MapState::await_all() {
  const std::lock_guard lock(mutex_);
  if (!all_) all_ = std::make_shared<pool::Event>();
  if (open_batches_ != 0) return all_;
  all_->set();
  return std::exchange(all_, nullptr);
}

bool MapState::arrived() const {
  const std::lock_guard lock(mutex_);
  return !arrived_.empty();
}

std::pair<const MapBatch*, Segment> MapState::take() {
  const std::lock_guard lock(mutex_);
  auto first = std::move(arrived_.front());
  arrived_.pop_front();
  return first;
}

bool MapState::watch(std::shared_ptr<Completions> settler, PyObject* object) {
  const std::lock_guard lock(mutex_);
  if (open_batches_ == 0) return false;
  settler_ = std::move(settler);
  watcher_ = python::PyRef::borrow(object).release();
  return true;
}

void MapBatch::put(std::uint32_t first, std::uint32_t items, Segment segment) {
  std::unique_lock lock(map_->mutex_);
  if (map_->unordered_ && !map_->abandoned_) {
    map_->arrived_.emplace_back(this, std::move(segment));
  } else if (!map_->abandoned_) {
    segments_.emplace(first, std::move(segment));
  }
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

int MapBatch::traverse(visitproc visit, void* arg) const {
  if (count_ != 1 || map_->is_copy()) return 0;  // what is refused stands alone
  const std::lock_guard lock(map_->mutex_);
  return segments_.empty() ? 0 : visit_refusal(segments_.begin()->second, visit, arg);
}

bool MapBatch::settled() const {
  const std::lock_guard lock(map_->mutex_);
  return left_ == 0;
}

}  // namespace pyhost::driver
