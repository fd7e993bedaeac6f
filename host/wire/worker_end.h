// worker_end.h: the worker's end of its wire.
#pragma once

#include <base/clock.h>
#include <base/fd.h>
#include <pyhost/result.h>
#include <wire/layout.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace pyhost::wire {

// A record from the host. The payload stays readable until `passed`, blocks kept longer excepted.
struct Incoming {
  Envelope envelope;  // a copy; `end` may have been lowered since, ask `claim`
  std::span<const std::byte> payload;
  const Envelope* record = nullptr;  // in the ring
  std::uint32_t next = 0;            // position of the record behind it
};

// What goes back for one item.
struct Outgoing {
  Kind kind = Kind::reply;
  Codec codec = Codec::none;
  Status status = Status::ok;
  std::uint8_t flags = 0;  // kPrinted, kKeeps
  std::uint32_t batch = 0;
  std::uint32_t item = 0;
  std::uint32_t peak_kib = 0;  // kind reply: the most memory the worker held so far; 0: not known
  std::uint64_t claimed_ns = 0;
  std::uint64_t block = 0;  // kind release
};

// Takes calls, claims items, commits replies.
//
// Owner:   the worker process.
// Threads: one at a time; `wait_beyond` also beside it.
class WorkerEnd {
 public:
  // Maps both regions. `doorbell` is the pool's eventfd.
  static Result<WorkerEnd> attach(base::UniqueFd host_region, base::UniqueFd worker_region,
                                  base::UniqueFd doorbell);
  WorkerEnd(WorkerEnd&&) noexcept;
  WorkerEnd& operator=(WorkerEnd&&) noexcept;
  WorkerEnd(const WorkerEnd&) = delete;
  WorkerEnd& operator=(const WorkerEnd&) = delete;
  ~WorkerEnd();

  // The next record, if there is one.
  std::optional<Incoming> next();
  // Spins for a bounded time, then sleeps until there is a record or a signal arrives. Never
  // called with the GIL held.
  void wait();

  // Publishes that `item` starts now. False: it was revoked; nothing of it may run (the host is
  // told where that is in doubt).
  // `brisk`: items of well under a microsecond, for which a look at the clock is much. The moment
  // of the claim may then be that of one of the three before it, by a few ms at most.
  bool claim(const Incoming& call, std::uint32_t item, bool brisk = false);
  // Whether the host wants `item` of a call that was not `passed` yet to stop. Safe in a signal
  // handler.
  static bool interrupted(const Incoming& call, std::uint32_t item);
  // The moment of the last claim that succeeded, CLOCK_MONOTONIC.
  std::uint64_t claimed_ns() const;

  // Commits one reply whose payload is the concatenation of `parts`, and tells the host. False:
  // the ring or the arena is full; call `wait_room` (without the GIL) and try again. Error
  // `backpressure`: the payload can never fit.
  Result<bool> reply(const Outgoing& outgoing, std::span<const std::span<const std::byte>> parts);
  void wait_room();

  // Results of consecutive items as one record; see Runs of results in layout.md. One run is open
  // at a time. While one is, `reply` must not be called for an item of its batch.
  //
  // Opens a run of up to `bytes` of results. False: no room in the arena now; use
  // `reply`.
  bool open_run(std::uint32_t batch, std::uint32_t first, Codec codec, std::uint64_t bytes);
  bool run_is_open() const;
  // Where the result of the next item goes.
  std::span<std::byte> run_room() const;
  // The next item's result is in the first `bytes` of `run_room()`. Before the next claim.
  void commit_run(std::size_t bytes);
  // Sends what was committed; does nothing when no run is open. False: call `wait_room` and try
  // again. `flags`: kPrinted.
  bool close_run(std::uint8_t flags = 0);

  // The record will not be read again.
  void passed(const Incoming& incoming);

  // For workers with several threads, of which one sleeps for all.
  //
  // From now on `wait_room` looks again and again instead of sleeping.
  void share();
  // Where the next record will be.
  std::uint32_t position() const;
  // Polls for a bounded time, as `wait` does; whether there is a record at `position`.
  bool spin(std::uint32_t position);
  // Sleeps until there is a record at `position`; may return early. One thread at a time.
  void wait_beyond(std::uint32_t position);
  // Whether free pages are kept for the next long result, and giving them back.
  bool is_warm() const;
  void cool_down();

 private:
  struct State;
  explicit WorkerEnd(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  bool shared_ = false;
};

}  // namespace pyhost::wire
