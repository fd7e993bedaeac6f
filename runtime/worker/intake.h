// intake.h: the calls of a worker that has several in flight.
#pragma once

#include <Python.h>

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>

#include <python/ref.h>
#include <wire/worker_end.h>
#include <worker/functions.h>
#include <worker/outbox.h>

namespace pyhost::worker {

// A record of the host some of whose items run.
struct Record {
  wire::Incoming incoming;
  std::uint32_t running = 0;
  bool taken = false;  // no item of it is left to claim
};

// Where a call is. What may be done to stop it depends on it.
enum class Place : std::uint8_t { queue, thread, coroutine, ended };

// One item that was claimed and has no reply yet.
struct Call {
  Record* record = nullptr;
  std::span<const std::byte> item;
  wire::Outgoing reply;  // its batch, item and codec
  python::PyRef owner;   // of buffers of its arguments
  Place place = Place::queue;
  bool interrupted = false;
  bool is_coroutine = false;  // its function is `async def`
  unsigned long thread = 0;   // place thread: as Python numbers it
  python::PyRef task;         // place coroutine
  python::PyRef context;      // of the caller; empty without
  std::list<Call>::iterator self;
};

// Takes records from the wire, claims their items, and says when records are passed, in order.
//
// Threads: those that hold the GIL; no function gives it away half-way, except for what definitions
//          and `started` take, which the main thread alone runs or waits for.
class Intake {
 public:
  Intake(wire::WorkerEnd& wire, Outbox& outbox, const Loaded& loaded, std::uint32_t most)
      : wire_(wire), outbox_(outbox), functions_(loaded), most_(most) {}

  // The next call, claimed, if there is one and fewer than `most` run. Calls of coroutine
  // functions, definitions and the end are left to the main thread.
  enum class Taker : std::uint8_t { main, thread };
  Call* take(Taker taker);
  // The call has its reply, and is gone.
  void end(Call& call);
  // What it calls; nothing with an exception set when its definition failed.
  python::PyRef function_of(const Call& call) const;

  std::list<Call>& calls() { return calls_; }
  bool has_room() const { return calls_.size() < most_; }
  // Whether there is a record that only `take` of the main thread gets past.
  bool has_record() const { return open_.has_value(); }
  // The host wants no more, and nothing runs.
  bool is_over() const { return retired_ && calls_.empty(); }

 private:
  bool open_record(Taker taker);
  bool begin_batch(Taker taker);
  Call* claim_next();
  void close_record();
  void pass_records();
  std::optional<bool> is_coroutine(std::uint32_t function, Taker taker);

  wire::WorkerEnd& wire_;
  Outbox& outbox_;
  FunctionTable functions_;
  std::size_t most_;
  std::unordered_map<std::uint32_t, bool> coroutines_;  // which functions are `async def`
  std::deque<Record> records_;                          // in the order of the ring
  std::list<Call> calls_;
  bool busy_ = false;  // a definition is on its way in
  bool retired_ = false;

  // The record items are taken from.
  std::optional<wire::Incoming> open_;
  bool begun_ = false;  // it is in `records_`
  bool open_is_coroutine_ = false;
  std::uint32_t index_ = 0;
  std::span<const std::byte> rest_;
};

}  // namespace pyhost::worker
