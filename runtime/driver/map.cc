// map.cc: keeps the workers of a map busy, and yields its results in order.
//
//   input --pull, encode--> open batches --settled--> yielded in order
//           `pump`            at most kBatchesPerWorker per worker
//
// Pumping happens in the iterating thread alone, so a consumer that is slow, or stops, holds the
// input back. Only while that thread waits for the oldest item does it read further ahead, up to a
// bound, so that one long item does not leave the other workers idle. A bound of the caller's is
// kept full instead. An engine that is closed cuts the input: what was submitted is still yielded,
// and an exception stands behind it.
#include <Python.h>
#include <driver/map.h>
#include <driver/outcome.h>
#include <driver/records.h>
#include <driver/unlocked.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace pyhost::driver {

using python::PyRef;

namespace {

// Halved: workers run dry while the consumer uses a result. Doubled: more is read ahead for
// nothing when the consumer stops.
constexpr int kBatchesPerPlace = 4;
constexpr std::uint32_t kLargestBatch = 32768;
// Items read ahead per batch that keeps a worker busy. Below the largest batch, as that is reached
// by plain numbers only, which two workers are busy enough with.
constexpr std::uint32_t kAheadPerBatch = 16384;
// Encoded input that an eager map sends at once; what is beyond waits as the objects it is, since
// its encoded form may be a copy of all the memory there is.
constexpr std::uint64_t kMostSent = std::uint64_t{256} << 20;
// Items of a run between two looks whether there is room for more input.
constexpr std::uint32_t kPumpEvery = 512;

// How much of the bound `ahead` is read at once.
std::uint32_t share_of(const MapSettings& settings, int target) {
  if (settings.count != 0) return std::min(settings.count, settings.ahead);
  return std::clamp(settings.ahead / (2 * static_cast<std::uint32_t>(target)), 1U, kLargestBatch);
}

bool sooner(base::Deadline one, base::Deadline other) {
  return one.moment() < other.moment();
}

}  // namespace

Map::Map(std::shared_ptr<EngineHandle> handle, MapInput input, const MapSettings& settings,
         int workers, int places, PyObject* owner)
    : handle_(std::move(handle)),
      input_(std::move(input)),
      settings_(settings),
      owner_(PyRef::borrow(owner)),
      target_(places * kBatchesPerPlace),
      ahead_(settings.ahead != 0
                 ? settings.ahead
                 : kAheadPerBatch * kBatchesPerPlace * static_cast<std::uint32_t>(workers)),
      share_(settings.ahead != 0 ? share_of(settings, target_) : 1),
      state_(std::make_shared<MapState>(settings.unordered)) {}

bool Map::begin() {
  filling_ = empty_batch();
  if (settings_.goes_on || settings_.eager) input_.go_on();
  if (settings_.fed) input_.call_when_one_more([this] { return filled(); });
  if (settings_.eager) return submit_all();
  if (!pump(false)) return false;
  if (settings_.ahead == 0 || input_.ended() || unyielded_ == ahead_) return true;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  if (!engine) return false;
  submit_batch(*engine, ahead_ - unyielded_);  // less than a share
  return true;
}

bool Map::submit_all() {
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  if (!engine) return false;
  while (sent_bytes_ < kMostSent && submit_batch(*engine, kLargestBatch)) {
    if (PyErr_CheckSignals() != 0) return false;
  }
  if (!input_.ended() && !input_.collect()) return false;
  settings_.has_end = true;
  if (!input_.failed()) return true;
  raise(input_.take_failure().get());
  return false;
}

bool Map::room(bool waiting) const {
  if (input_.ended() || unyielded_ + handed_out_ + share_ > ahead_) return false;
  if (settings_.ahead != 0) return true;
  if (state_->open_batches() >= target_) return false;
  return waiting || batches_.size() < static_cast<std::size_t>(target_);
}

bool Map::reads_on() const {
  return settings_.ahead == 0 && !input_.ended() && unyielded_ < ahead_;
}

bool Map::pump(bool waiting) {
  if (settings_.fed || !room(waiting)) return true;
  if (!handle_->accepts()) {
    cut();
    return true;
  }
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  if (!engine) return false;
  while (room(waiting) && submit_batch(*engine, ahead_ - unyielded_ - handed_out_)) {
  }
  return true;
}

void Map::cut() {
  if (handle_->engine()) {  // it still finishes what it has
    PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
  }
  input_.cut();
}

bool Map::submit_batch(pool::Engine& engine, std::uint64_t most) {
  fill(wanted_count(engine), most);
  return submit_filled(engine);
}

std::uint32_t Map::wanted_count(pool::Engine& engine) const {
  if (settings_.count != 0) return settings_.count;
  // The engine divides a batch by itself: there is no need to know how long an item takes.
  if (settings_.eager) return kLargestBatch;
  if (settings_.ahead != 0) return share_;
  const auto suggest = [&] { return engine.suggested_count(settings_.function); };
  return std::min(without_gil(suggest), kLargestBatch);
}

pool::Batch Map::empty_batch() const {
  pool::Batch batch;
  batch.count = 0;
  batch.function = settings_.function;
  batch.codec = wire::Codec::pickle;
  batch.result_codec = wire::Codec::pickle;
  batch.packs = true;
  batch.items_per_call = settings_.per_call;
  batch.style = settings_.style;
  batch.limits = settings_.limits;
  return batch;
}

void Map::fill(std::uint32_t wanted, std::uint64_t most) {
  filling_ = empty_batch();
  input_.fill(filling_, static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, 1, most)));
}

bool Map::submit_filled(pool::Engine& engine) {
  pool::Batch batch = std::exchange(filling_, empty_batch());
  // As multiprocessing has it: a chunk in which the input failed is lost as a whole.
  if (settings_.goes_on && settings_.count != 0 && input_.failed()) return false;
  PyRef refusal = input_.take_refusal();
  // Nothing is left to be sent: the results do not need the engine's owner, who closes it.
  const PyRef owner = input_.ended() && !settings_.fed ? std::move(owner_) : PyRef();
  if (stopping_ || (batch.count == 0 && !refusal)) return false;
  if (batch.count != 0 && !send(engine, std::move(batch))) return false;
  if (refusal && !stopping_) open_batch(1).sink->refuse(std::move(refusal));
  return true;
}

bool Map::send(pool::Engine& engine, pool::Batch batch) {
  if (!handle_->accepts()) {  // closed by another thread, or by the input itself
    cut();
    return false;
  }
  const std::shared_ptr<MapBatch> sink = open_batch(batch.count).sink;
  batch.sink = sink;
  sent_bytes_ += batch.payload.size();
  pool::Ticket ticket = without_gil([&] { return engine.submit(std::move(batch)); });
  // Another thread may have taken all of it meanwhile, or closed the map before there was a ticket.
  const auto open = std::find_if(batches_.rbegin(), batches_.rend(),
                                 [&](const OpenBatch& other) { return other.sink == sink; });
  if (open != batches_.rend()) {
    open->ticket = std::move(ticket);
  } else if (stopping_ && !sink->settled()) {
    without_gil([&] { engine.cancel(ticket, std::nullopt, stops_running_); });
  }
  return true;
}

OpenBatch& Map::open_batch(std::uint32_t count) {
  unyielded_ += count;
  state_->batch_opened();
  if (hungry_) state_->poke();
  return batches_.emplace_back(OpenBatch{std::make_shared<MapBatch>(state_, count), {}});
}

// Whether there is something to `take`. Requires: a batch.
bool Map::has_result() const {
  return settings_.unordered ? state_->arrived() : batches_.front().sink->ready(position_);
}

Segment Map::take() {
  if (!settings_.unordered) return batches_.front().sink->take(position_);
  auto [sink, segment] = state_->take();
  // Near the front, as batches end about in the order in which they were submitted.
  const auto batch =
      std::find_if(batches_.begin(), batches_.end(),
                   [sink = sink](const OpenBatch& open) { return open.sink.get() == sink; });
  if (batch == batches_.end()) return std::move(segment);  // cancelled meanwhile
  batch->taken += items_of(segment);
  if (batch->taken == sink->count()) batches_.erase(batch);
  return std::move(segment);
}

// False with an exception set.
bool Map::wait(base::Deadline deadline) {
  const std::shared_ptr<MapBatch> oldest = batches_.front().sink;
  while (!has_result()) {
    if (!pump(true)) return false;
    // Below the target once more there is input to send meanwhile.
    const bool more = reads_on();
    const std::shared_ptr<pool::Event> event =
        state_->await(oldest.get(), position_, more ? target_ - 1 : -1);
    if (!handle_->wait(*event, deadline, timed_out)) return false;
    if (timed_out && !has_result()) {
      raise_futures_error("TimeoutError");
      return false;
    }
  }
  return true;
}

// One more item of the oldest batch; unordered, of one that was taken.
void Map::yielded() {
  --unyielded_;
  ++position_;
  // Not at once: the feeder would send single items then.
  if (settings_.fed && unyielded_ == ahead_ - ahead_ / 4) state_->notify_room();
  if (!settings_.unordered && position_ == batches_.front().sink->count()) {
    batches_.pop_front();
    position_ = 0;
  }
}

PyRef Map::next_of_run() {
  // Workers may run dry while a long run is yielded.
  if (position_ % kPumpEvery == 0 && !pump(false)) return {};
  PyRef value = run_.next();
  if (value || !interrupted()) yielded();
  return value;
}

PyRef Map::decode_taken() {
  Decoded decoded = decode(*taken_, handle_->own_arrays());
  if (!decoded) return {};
  taken_.reset();
  yielded();
  if (decoded.exception) raise(decoded.exception.get());
  return std::move(decoded.value);
}

PyRef Map::next(base::Deadline deadline) {
  timed_out = false;
  if (!run_.empty()) return next_of_run();
  if (taken_) return decode_taken();
  deadline = std::min(deadline, settings_.deadline, sooner);
  if (!(settings_.fed ? wait_fed(deadline) : pump(false))) return {};
  if (batches_.empty()) {
    const PyRef failure = input_.take_failure();
    if (failure) raise(failure.get());
    return {};
  }
  if (!wait(deadline)) return {};
  await_records();  // what the items logged
  Segment segment = take();
  if (auto* run = std::get_if<pool::Run>(&segment)) {
    run_ = RunReader(std::move(*run));
    return next_of_run();
  }
  if (const auto* refusal = std::get_if<PyRef>(&segment)) {
    yielded();
    raise(refusal->get());
    return {};
  }
  taken_ = std::move(std::get<pool::Outcome>(segment));
  return decode_taken();
}

// Whether `next` has something to return, or is at the end.
bool Map::is_ready() const {
  return !run_.empty() || taken_ || batches_.empty() || has_result();
}

PyRef Map::take_ready(std::size_t most) {
  if (held_) {
    raise(std::exchange(held_, {}).get());
    return {};
  }
  handed_out_ = 0;
  PyRef taken = PyRef::steal(PyList_New(0));
  if (!taken || !pump(false)) return {};
  while (is_ready() && static_cast<std::size_t>(PyList_GET_SIZE(taken.get())) < most) {
    ++handed_out_;  // first: `next` reads ahead
    const PyRef value = next();
    if (value && PyList_Append(taken.get(), value.get()) == 0) continue;
    --handed_out_;
    const bool nothing = PyList_GET_SIZE(taken.get()) == 0;
    if (PyErr_Occurred() == nullptr) return nothing ? PyRef::borrow(Py_None) : std::move(taken);
    if (nothing || interrupted()) return {};  // Ctrl-C comes at once, and ends the map
    held_ = take_exception();
    return taken;
  }
  return taken;
}

int Map::ring(std::shared_ptr<Bell> bell, PyObject* waiter) {
  if (held_ || is_ready()) return 0;
  if (!pump(true)) return -1;
  const bool more = reads_on();
  const MapBatch* oldest = batches_.front().sink.get();
  return state_->ring(oldest, position_, more ? target_ - 1 : -1, std::move(bell), waiter) ? 1 : 0;
}

bool Map::finish(bool wait) {
  if (settings_.fed || !settings_.runs_unread || input_.ended() || !handle_->accepts()) return true;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  if (!engine) return false;
  // One batch more of an input that may be endless: perhaps all that was left is its end.
  bool more = submit_batch(*engine, kLargestBatch);
  while ((settings_.has_end || (settings_.goes_on && wait)) && more) {
    if (wait && !wait_for_room()) return false;
    more = submit_batch(*engine, kLargestBatch);
  }
  return input_.ended() || started || warn_of_cut();
}

// Until fewer batches than the target are open. False with an exception set.
bool Map::wait_for_room() {
  while (state_->open_batches() >= target_) {
    const std::shared_ptr<pool::Event> event = state_->await(nullptr, 0, target_ - 1);
    bool late = false;
    if (!handle_->wait(*event, base::Deadline::never(), late)) return false;
  }
  return true;
}

std::optional<bool> Map::wait_settled(base::Deadline deadline) {
  while (state_->open_batches() != 0) {
    const std::shared_ptr<pool::Event> event = state_->await_all();
    bool late = false;
    if (!handle_->wait(*event, deadline, late)) return std::nullopt;
    if (late) return state_->open_batches() == 0;
  }
  return true;
}

bool Map::warn_of_cut() const {
  return PyErr_WarnEx(PyExc_RuntimeWarning,
                      "the input of a map was not read to its end, because nobody read the "
                      "results and it has no length; read them, or pass a list",
                      1) == 0;
}

bool Map::enter(bool finishing) {
  if (!refuse_copy()) return false;
  finishers_ += finishing ? 1 : 0;
  const bool mine = await_turn(finishing);
  finishers_ -= finishing ? 1 : 0;
  if (!mine) return false;
  busy_ = true;
  finishing_ = finishing;
  busy_thread_ = PyThread_get_thread_ident();
  return true;
}

// False with an exception set.
bool Map::await_turn(bool finishing) {
  while (busy_ || (!finishing && finishers_ > 0)) {
    if (busy_here()) {
      PyErr_SetString(PyExc_ValueError, "the input of this map asks for its results");
      return false;
    }
    if (busy_ && !finishing && !finishing_ && !settings_.goes_on) {
      PyErr_SetString(PyExc_ValueError,
                      "another thread is waiting for the next result of this map");
      return false;
    }
    without_gil([] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
    if (PyErr_CheckSignals() != 0) return false;
  }
  return true;
}

int Map::traverse(visitproc visit, void* arg) const {
  Py_VISIT(owner_.get());
  Py_VISIT(held_.get());
  for (const OpenBatch& batch : batches_) {
    if (const int stop = batch.sink->traverse(visit, arg); stop != 0) return stop;
  }
  if (const int stop = state_->traverse(visit, arg); stop != 0) return stop;
  return input_.traverse(visit, arg);
}

void Map::clear() {
  input_.clear();
  owner_ = {};
  held_ = {};
}

void Map::cancel(bool force) {
  // First: what follows may run Python code, which must not wait for what nobody keeps.
  const std::deque<OpenBatch> batches = std::exchange(batches_, {});
  run_ = RunReader();
  taken_.reset();
  unyielded_ = 0;
  if (settings_.fed && !fed_) {
    stopping_ = true;  // the input is the feeder's
    stops_running_ = stops_running_ || force;
  } else {
    clear();
  }
  state_->abandon();
  if (batches.empty() || !handle_->usable()) return;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  without_gil([&] {
    for (const OpenBatch& batch : batches) {
      if (!batch.sink->settled()) engine->cancel(batch.ticket, std::nullopt, force);
    }
  });
}

void Map::forget() {
  if (!settings_.goes_on && (started || !settings_.runs_unread)) cancel();
  state_->abandon();
}

}  // namespace pyhost::driver
