// host_end.h: the host's end of one worker's wire.
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
#include <string>

namespace pyhost::wire {

using Bytes = std::span<const std::byte>;

// Sizes of both regions. The defaults suit every pool; tests use small ones.
struct Sizes {
  std::uint32_t ring_bytes = 256 * 1024;                 // power of two
  std::uint64_t region_bytes = std::uint64_t{16} << 30;  // address space, not memory
};

// What a posted call or definition occupies until it is finished.
struct Posted {
  std::uint32_t batch = 0;
  std::uint32_t position = 0;  // of its record in the ring
  std::uint32_t first = 0;
  std::uint32_t end = 0;  // as posted, or as last shrunk
  std::uint64_t payload_bytes = 0;
  std::uint64_t block = 0;  // 0: inline
};

// A call as the pool describes it.
struct Call {
  std::uint32_t function = 0;
  Codec codec = Codec::none;
  Style style = Style::value;
  std::uint32_t first = 0;
  std::uint32_t end = 1;
  Codec result_codec = Codec::none;  // none: that of the call
  bool packs = false;                // results may come as numbers
  bool times_cpu = false;            // see Claim::cpu_ns
  Bytes payload;                     // copied before `post` returns
};

// A record the worker wrote, copied out and checked for everything the wire itself knows: kind,
// size, status, and that the payload lies in the worker's arena. Whether `batch` and `item` make
// sense is the reader's to check.
struct Reply {
  Kind kind = Kind::reply;
  Codec codec = Codec::none;
  Status status = Status::ok;
  bool printed = false;
  bool keeps = false;
  std::uint32_t batch = 0;
  std::uint32_t item = 0;
  std::uint32_t end = 0;  // kind results: one past the last item
  std::uint64_t claimed_ns = 0;
  std::uint64_t ran_ns = 0;      // kind results: from the first claim to the last result
  std::uint64_t peak_bytes = 0;  // kind reply: the most memory the worker says it held; 0: unsaid
  std::uint64_t block = 0;       // kind release: the host's block
  std::string payload;
};

// The last item the worker claimed: `items` of `batch` are claimed, and every earlier batch.
struct Claim {
  std::uint32_t batch = 0;  // 0: none yet
  std::uint32_t items = 0;  // index of the claimed item + 1
  std::uint64_t claimed_ns = 0;
  std::uint64_t cpu_ns = 0;  // CPU time of the worker then, if the call was to be timed
};

// Results that stand in the worker's arena and may not be in the ring: see Runs of results in
// layout.md.
struct OpenRun {
  std::uint32_t batch = 0;
  std::uint32_t first = 0;
  Codec codec = Codec::none;
  std::uint32_t count = 0;
  std::string payload;
};

// Makes both regions, posts calls, takes replies, revokes what is not claimed.
//
// Owner:    the pool, one per worker process (a new process gets a new pair of regions).
// Threads:  one at a time, except `replies_waiting`, `sleep` and `reply_word`.
// Trust:    nothing the worker wrote is believed: it is copied first, then checked.
class HostEnd {
 public:
  static Result<HostEnd> create(const Sizes& sizes = {});
  HostEnd(HostEnd&&) noexcept;
  HostEnd& operator=(HostEnd&&) noexcept;
  HostEnd(const HostEnd&) = delete;
  HostEnd& operator=(const HostEnd&) = delete;
  ~HostEnd();

  // What the worker is given: a read-only descriptor of the host's region, and the worker's own.
  Result<base::UniqueFd> share_host_region() const;
  Result<base::UniqueFd> share_worker_region() const;

  // Appends a record. `nullopt`: no room now, try again when a batch is finished or the doorbell
  // rings. Error `backpressure`: the payload can never fit, or the machine is out of memory. Does
  // not wake the worker: call `notify` after the last of several posts.
  Result<std::optional<Posted>> post(const Call& call);
  Result<std::optional<Posted>> define(std::uint32_t function, Codec codec, Bytes definition);
  bool post_retire();

  // Wakes the worker if it sleeps; no system call when it is awake.
  void notify();

  // Lowers the end of a posted batch to `end`. Returns the index from which on items will
  // certainly never run; `posted.end` becomes the same. When that is above `end`, the item just
  // below it may or may not run: unless its reply was taken already, a `reply` or a `stopped` for
  // it follows (or the worker dies). A `stopped` that settles nothing is not handed out.
  std::uint32_t shrink(Posted& posted, std::uint32_t end);

  // Asks that `item` of an unfinished batch stop. The worker looks when it gets
  // process::interrupt_signal().
  void interrupt(const Posted& posted, std::uint32_t item);

  // Every item of the batch has its outcome: its room may be used again once the worker moved on.
  // `keep_block` leaves its block (a reply said `keeps`) until `release_block`. Definitions need
  // no `finish`; it does nothing for them.
  void finish(const Posted& posted, bool keep_block = false);
  // Ignores what is not the block of a kept or unfinished batch: the worker named it.
  void release_block(std::uint64_t block);

  // The payload of an unfinished batch, in the host's own region. Valid until `finish`.
  Bytes payload(const Posted& posted) const;

  // Items at or above the `end` of their batch never ran, even when they are claimed here.
  Claim claim() const;

  // The results that are committed but perhaps not sent, checked as `results` are; nullopt when
  // there are none, or the worker is just changing them.
  std::optional<OpenRun> open_run() const;

  // The next record, or nullopt when there is none. Error `protocol`: the worker cannot be
  // trusted any more; replace it.
  Result<std::optional<Reply>> next_reply();
  bool replies_waiting() const;

  // Who is told of a reply from now on: bits of HostHeader::wants. Look at `replies_waiting` once
  // more after setting a bit.
  void set_wants(std::uint32_t wants);
  // The word that changes with every reply, for futex_wait(..., Sharing::processes).
  const std::atomic<std::uint32_t>& reply_word() const;

  std::uint64_t committed_bytes() const;  // pages the host holds in its arena
  void trim(std::uint64_t keep_bytes);    // hands idle pages back

 private:
  struct State;
  explicit HostEnd(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pyhost::wire
