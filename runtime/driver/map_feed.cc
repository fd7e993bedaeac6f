// map_feed.cc: a map whose input is read by a thread of its own, as multiprocessing reads that of
// `imap`.
//
//   feeder: input --pull, encode--> filling --full, or 1 ms old--> open batches --settled--> reader
//                                      \--- the reader waits, and there is room ---/
//
// The input may wait for what the reader does with results: release a semaphore, fill a queue. So
// the reader never reads it, and an item that was pulled must not wait for the next one to come: a
// reader that waits takes what has gathered, after a moment in which the batch may grow.
//
// All of this happens under the GIL, which the input gives away as it likes; `filling_` is whole
// whenever that can happen.
#include <Python.h>
#include <driver/handle.h>
#include <driver/map.h>
#include <driver/outcome.h>
#include <driver/unlocked.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace pyhost::driver {

namespace {

// How long a batch grows. Halved: the batches of quick inputs are shorter than they could be.
// Doubled: the results of slow ones come later for nothing.
constexpr base::Duration kGrows = std::chrono::milliseconds(1);

}  // namespace

// Whether the batch is to go as it is, after one more item. Called from within the input.
bool Map::filled() {
  if (stopping_) return true;
  if (filling_.count > 1) return base::now() - fill_began_ > kGrows;
  fill_began_ = base::now();
  if (hungry_) state_->poke();
  return false;
}

// Sends what has gathered, in the reader's thread.
void Map::flush() {
  if (filling_.count == 0 || settings_.count != 0 || stopping_) return;
  if (!handle_->accepts() || !room(true)) return;
  const std::shared_ptr<pool::Engine> engine = handle_->engine();
  pool::Batch batch = empty_batch();
  batch.codec = filling_.codec;
  std::swap(batch, filling_);
  send(*engine, std::move(batch));
}

void Map::feed() {
  const OurThread ours;
  while (!input_.ended() && !stopping_) {
    if (!handle_->accepts()) {
      cut();
    } else if (!room(true)) {
      wait_to_feed();
    } else {
      feed_batch();
    }
    PyErr_Clear();  // of an engine that ended meanwhile
  }
  fed_ = true;
  if (stopping_) clear();
  end_of_feed_->set();
  state_->poke();
}

// The engine is not kept meanwhile: the input may never return.
void Map::feed_batch() {
  std::shared_ptr<pool::Engine> engine = handle_->engine();
  const std::uint32_t wanted = wanted_count(*engine);
  engine.reset();
  fill(wanted, ahead_ - unyielded_);
  engine = handle_->engine();
  if (engine) submit_filled(*engine);
}

void Map::wait_to_feed() {
  const bool ahead = unyielded_ >= ahead_;  // the reader has to take some
  const std::shared_ptr<pool::Event> event = state_->await_room(ahead ? -1 : target_ - 1);
  bool late = false;
  static_cast<void>(handle_->wait(*event, base::Deadline::never(), late));
}

// Until there is a result, or will be none. False with an exception set.
bool Map::wait_fed(base::Deadline deadline) {
  hungry_ = true;
  bool ok = true;
  while (ok && (batches_.empty() ? !fed_ && !stopping_ : !has_result())) {
    const MapBatch* oldest = batches_.empty() ? nullptr : batches_.front().sink.get();
    const std::shared_ptr<pool::Event> event = state_->await(oldest, position_, -1);
    const base::Deadline grown = base::Deadline::in(kGrows);
    const bool flushes = filling_.count != 0 && grown.moment() < deadline.moment();
    ok = handle_->wait(*event, flushes ? grown : deadline, timed_out);
    if (!ok || !timed_out) continue;
    timed_out = !flushes;
    if (flushes) {
      flush();
    } else if (batches_.empty() || !has_result()) {
      raise_futures_error("TimeoutError");
      ok = false;
    }
  }
  hungry_ = false;
  return ok;
}

// Before the engine is closed: until the input is read, however many results nobody has taken.
bool Map::finish_feed() {
  ahead_ = std::numeric_limits<std::uint32_t>::max();
  state_->notify_room();
  while (!fed_) {
    flush();
    bool late = false;
    const auto look = base::Deadline::in(std::chrono::milliseconds(10));  // for what has gathered
    if (!handle_->wait(*end_of_feed_, look, late)) return false;
  }
  return true;
}

}  // namespace pyhost::driver
