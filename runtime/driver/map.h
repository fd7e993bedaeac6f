// map.h: the C++ half of a map's iterator.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <driver/handle.h>
#include <driver/map_input.h>
#include <driver/map_state.h>
#include <driver/run_reader.h>
#include <python/ref.h>
#include <wire/layout.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

namespace pyhost::driver {

struct MapSettings {
  std::uint32_t function = 0;
  wire::Style style = wire::Style::value;
  std::uint32_t count = 0;     // items per batch; 0: what takes about a millisecond
  std::uint32_t per_call = 1;  // items that count as one call when workers are replaced
  // Items pulled and not yet yielded, as many as that whatever the reader does; 0: as many as keep
  // workers busy.
  std::uint32_t ahead = 0;
  bool runs_unread = false;  // all of the input, even if nobody asks for a result
  bool has_end = false;      // the input is known to end
  bool goes_on = false;      // the exception of an item, or a timeout, does not end the iteration
  bool unordered = false;    // results as they come
  bool eager = false;        // the whole input is read, and what is not too much sent, at once
  bool fed = false;          // a thread in `feed` reads the input; goes with `goes_on`
  base::Deadline deadline = base::Deadline::never();  // for every result
  std::shared_ptr<const CallOptions> limits;          // of every item; may be null
};

// A batch whose items are not all yielded.
struct OpenBatch {
  std::shared_ptr<MapBatch> sink;
  pool::Ticket ticket;
  std::uint32_t taken = 0;  // items of an unordered map, of which segments were taken
};

// Keeps the workers of a map busy, and yields its results in order. `places`: calls they can run at
// once.
//
// Threads: all operations need the GIL, and give it away while they wait; see `enter`.
class Map {
 public:
  Map(std::shared_ptr<EngineHandle> handle, MapInput input, const MapSettings& settings,
      int workers, int places, PyObject* owner);

  // Submits the first batches, or all. False with an exception set, which may be the input's.
  bool begin();
  // Submits batches while there is room. `waiting`: the oldest item is not ready. False with an
  // exception set.
  bool pump(bool waiting);
  // The next result; null with an exception, or without one at the end. It stays the next where
  // rebuilding it was `interrupted` (outcome.h). The deadline of the settings holds, too.
  python::PyRef next(base::Deadline deadline = base::Deadline::never());
  // Reads the input to its end, or until the engine is closed. In a thread of its own.
  void feed();
  // Until all that was submitted has its outcome: whether it has. Nothing with an exception set.
  std::optional<bool> wait_settled(base::Deadline deadline);
  // The settler of the pool gets `object` when `wait_settled` would return. False: it would now.
  bool watch(PyObject* object) { return state_->watch(handle_->completions(), object); }
  MapState& state() { return *state_; }
  bool goes_on() const { return settings_.goes_on; }
  bool runs_unread() const { return settings_.runs_unread; }
  // Before the engine is closed: submits what is left of an input that has an end, and keeps the
  // results. `wait`: holds no more of it in memory than `pump`; and an input of a map that goes on
  // is taken to have an end. False with an exception set.
  bool finish(bool wait);
  // The same for a map that is fed, with `wait`; not between `enter` and `leave`.
  bool finish_feed();
  // False with an exception set: this is a copy of the process the map is of, where nothing of it
  // may be used: a thread that is not here may hold its locks.
  bool refuse_copy() const { return handle_->refuse_copy(); }
  bool is_fed() const { return settings_.fed; }
  // The results that are there, at most so many, as a list; it pulls input as `next` does. None at
  // the end. An exception comes by itself, behind the results before it. Null with an exception.
  python::PyRef take_ready(std::size_t most);
  // Pushes `waiter` on `bell` when it is worth to `take_ready` again. 0: it is now; negative with
  // an exception set.
  int ring(std::shared_ptr<Bell> bell, PyObject* waiter);
  // Cancels what has not started, and with `force` what runs, and forgets the rest.
  void cancel(bool force = false);
  // Nobody can ask for a result any more: `cancel`, unless all of it has to run.
  void forget();

  int traverse(visitproc visit, void* arg) const;
  void clear();

  // One thread at a time, from `enter` to `leave`, is in `next` or `finish`. False with an
  // exception set: another one is in `next` (of a map that goes on it waits for its turn), or this
  // one is below either. Who wants to finish is next, as a thread that iterates is in `next` nearly
  // always.
  bool enter(bool finishing);
  bool busy() const { return busy_; }
  bool busy_here() const { return busy_ && busy_thread_ == PyThread_get_thread_ident(); }
  void leave() { busy_ = finishing_ = false; }
  bool started = false;    // a result was asked for
  bool timed_out = false;  // at the deadline of the last `next`

 private:
  bool await_turn(bool finishing);
  bool room(bool waiting) const;
  bool reads_on() const;  // when there are fewer batches under way, while nothing is yielded
  bool submit_all();
  bool submit_batch(pool::Engine& engine, std::uint64_t most);
  std::uint32_t wanted_count(pool::Engine& engine) const;
  pool::Batch empty_batch() const;
  void fill(std::uint32_t wanted, std::uint64_t most);
  bool submit_filled(pool::Engine& engine);
  bool send(pool::Engine& engine, pool::Batch batch);
  OpenBatch& open_batch(std::uint32_t count);
  void cut();
  bool wait(base::Deadline deadline);
  Segment take();
  bool is_ready() const;
  bool has_result() const;
  bool wait_for_room();
  bool warn_of_cut() const;
  void yielded();
  bool filled();
  void flush();
  void feed_batch();
  void wait_to_feed();
  bool wait_fed(base::Deadline deadline);
  python::PyRef next_of_run();
  python::PyRef decode_taken();

  std::shared_ptr<EngineHandle> handle_;
  MapInput input_;
  MapSettings settings_;
  python::PyRef owner_;
  bool busy_ = false;
  bool finishing_ = false;
  int finishers_ = 0;  // that wait for their turn
  unsigned long busy_thread_ = 0;
  int target_;
  std::uint32_t ahead_;
  std::uint32_t share_;  // of `ahead`, which is read at once: single items cost more; else 1
  std::shared_ptr<MapState> state_;
  std::deque<OpenBatch> batches_;
  std::uint32_t position_ = 0;  // in the oldest batch; unordered: counts what was yielded
  pool::Batch filling_;         // items pulled and not yet sent
  python::PyRef held_;          // an exception that stands behind what `take_ready` returned
  RunReader run_;               // results from `position_` on that were taken
  std::optional<pool::Outcome> taken_;  // the same, where Ctrl-C came while it was rebuilt
  std::uint64_t sent_bytes_ = 0;        // encoded
  std::uint64_t unyielded_ = 0;
  std::uint64_t handed_out_ = 0;  // by the last `take_ready`, and perhaps not yet used

  // Of a map that is fed: see map_feed.cc.
  bool hungry_ = false;         // the reader waits
  bool stopping_ = false;       // nobody wants the rest of the input
  bool stops_running_ = false;  // nor that what runs comes to its end
  bool fed_ = false;            // `feed` has returned, or is about to
  base::Moment fill_began_{};
  std::shared_ptr<pool::Event> end_of_feed_ = std::make_shared<pool::Event>();
};

}  // namespace pyhost::driver
