// layout.h: the bytes host and worker agree on. The specification is layout.md; the assertions at
// the end pin every offset it states.
//
// Two regions per worker, by writer. A region is: one page of header, a ring of records, an arena.
//
//   host's region   (worker maps it read-only)    worker's region (host maps it read-only)
//   +-----------+                                 +-------------+
//   | HostHeader|  call_head, reply_tail, wants   | WorkerHeader|  reply_head, call_tail, claim
//   +-----------+                                 +-------------+
//   | call ring |  define, call, released, retire | reply ring  |  ready, reply, stopped, release
//   +-----------+                                 +-------------+
//   | arena     |  payloads too long for the ring | arena       |  the same, the other way
//   +-----------+                                 +-------------+
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pyhost::wire {

inline constexpr std::uint32_t kMagic = 0x54534850;  // "PHST"
inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kCacheLine = 64;
// Records start at multiples of this and never wrap. What is left at the end of a ring may thus be
// shorter than an Envelope: of a `pad`, only `size` and `kind` are there.
inline constexpr std::size_t kRecordAlign = 16;
// Blocks start at multiples of this and are followed by as many spare bytes (vector loads of a
// parser may read past the text).
inline constexpr std::size_t kBlockAlign = 64;

enum class Kind : std::uint16_t {
  pad = 0,  // fills the ring up to its end; skip `size` bytes
  // host to worker
  define = 1,    // payload: what function number `function` is (see Definition in layout.md)
  call = 2,      // run items [first, end) of batch `batch`
  released = 3,  // the host is done with the worker's block at `block` (a lease ended)
  retire = 4,    // run exit functions and end
  // worker to host
  ready = 16,    // the worker can take calls
  reply = 17,    // the outcome of item `item` of batch `batch`
  stopped = 18,  // item `item` of batch `batch` was revoked in the moment of its claim: not run
  release = 19,  // the worker is done with the host's block at `block`, kept by an earlier reply
  started = 20,  // item `first` of `batch` is claimed; said only with several calls in flight
  results = 21,  // the results of items [first, end) of `batch`, all ok
};

// The last three need no frames: all items of a batch are numbers (see Payload formats).
enum class Codec : std::uint8_t { none = 0, json = 1, pickle = 2, i64 = 3, f64 = 4, range = 5 };

// How the worker turns an item into arguments.
enum class Style : std::uint8_t { value = 0, args = 1, kwargs = 2, call = 3, within = 4 };

enum class Status : std::uint16_t {
  ok = 0,       // payload: the result, in the codec of the call
  raised = 1,   // payload: see ErrorPayload in layout.md
  marshal = 2,  // an argument or the result cannot cross; payload as for `raised`
  memory = 3,   // a MemoryError under the worker's memory cap; payload as for `raised`
};

// Bits of Envelope::flags.
inline constexpr std::uint8_t kInBlock =
    1;  // payload is in the arena at `block`, not behind the envelope
inline constexpr std::uint8_t kPrinted =
    2;  // reply: the worker wrote to stdout or stderr since the last one
inline constexpr std::uint8_t kKeeps = 4;  // reply: the call's block stays in use until a `release`
inline constexpr std::uint8_t kTimesCpu = 8;  // call: claims note the CPU time of the worker, too
inline constexpr std::uint8_t kPacks = 16;    // call: results may come as i64 or f64

// The fixed start of every record. `size` counts the envelope, an inline payload and the padding.
struct Envelope {
  std::uint32_t size = 0;
  Kind kind = Kind::pad;
  Codec codec = Codec::none;
  std::uint8_t flags = 0;
  std::uint32_t batch = 0;  // the host's number of the batch, counted from 1 per worker
  std::uint32_t function =
      0;  // call, define: function number; reply: the worker's peak, see layout.md
  std::uint32_t first = 0;  // call: first item to run; reply, stopped: the item
  std::uint32_t end = 0;    // call: one past the last item to run; the host may lower it any time
  std::uint64_t payload_bytes = 0;
  std::uint64_t block = 0;           // offset from the start of the region, when kInBlock
  std::uint64_t claimed_ns = 0;      // reply: CLOCK_MONOTONIC when the item was claimed
  Status status = Status::ok;        // reply
  Style style = Style::value;        // call
  Codec result_codec = Codec::none;  // call: of results that are not packed, and of errors
  // call: item + 1 of an item that is to stop; raised at any time by the host, who then sends
  // `interrupt_signal`.
  std::uint32_t interrupt = 0;
  std::uint64_t ran_ns = 0;  // results: from the first claim to the last result
};

struct HostHeader {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t ring_bytes;  // of either ring, a power of two
  std::uint32_t reserved;
  std::uint64_t region_bytes;
  // Bytes ever put into the call ring, modulo 2^32. The worker sleeps on it.
  alignas(kCacheLine) std::atomic<std::uint32_t> call_head;
  // Bytes ever taken from the reply ring, modulo 2^32. A worker short of room sleeps on it.
  alignas(kCacheLine) std::atomic<std::uint32_t> reply_tail;
  // How the worker announces a reply: bits kWakeFutex, kRingBell; 0 while somebody polls.
  alignas(kCacheLine) std::atomic<std::uint32_t> wants;
  // 1 while a record waits for room: the worker rings the bell when it has passed a record.
  std::atomic<std::uint32_t> wants_room;
};
inline constexpr std::uint32_t kWakeFutex = 1;  // FUTEX_WAKE on WorkerHeader::reply_head
inline constexpr std::uint32_t kRingBell = 2;   // write to the pool's eventfd

struct WorkerHeader {
  std::uint32_t magic;
  std::uint32_t version;
  // Bytes ever put into the reply ring, modulo 2^32. The host may sleep on it.
  alignas(kCacheLine) std::atomic<std::uint32_t> reply_head;
  // Bytes ever passed in the call ring, modulo 2^32: records below are never read again.
  alignas(kCacheLine) std::atomic<std::uint32_t> call_tail;
  // 1 while the worker sleeps on call_head, 2 on reply_tail, 0 while awake.
  alignas(kCacheLine) std::atomic<std::uint32_t> sleeping;
  // (batch << 32) | (item + 1) of the last claim; 0 before the first.
  alignas(kCacheLine) std::atomic<std::uint64_t> claim;
  std::atomic<std::uint64_t> claim_ns;      // CLOCK_MONOTONIC of that claim
  std::atomic<std::uint64_t> claim_cpu_ns;  // CPU time of the worker at that claim, with kTimesCpu
  // Results of consecutive items that are committed and not yet sent as one record.
  alignas(kCacheLine) std::uint64_t run_block;  // offset of the block they are in
  std::atomic<std::uint64_t> run;  // (batch << 32) | item of the first; written after the others
  Codec run_codec;
  std::atomic<std::uint64_t> run_bytes;  // of the results in the block; 0: there are none
};

static_assert(sizeof(Envelope) == 64);
static_assert(offsetof(Envelope, kind) == 4 && offsetof(Envelope, codec) == 6 &&
              offsetof(Envelope, flags) == 7 && offsetof(Envelope, batch) == 8 &&
              offsetof(Envelope, function) == 12 && offsetof(Envelope, first) == 16 &&
              offsetof(Envelope, end) == 20 && offsetof(Envelope, payload_bytes) == 24 &&
              offsetof(Envelope, block) == 32 && offsetof(Envelope, claimed_ns) == 40 &&
              offsetof(Envelope, status) == 48 && offsetof(Envelope, style) == 50 &&
              offsetof(Envelope, result_codec) == 51 && offsetof(Envelope, interrupt) == 52 &&
              offsetof(Envelope, ran_ns) == 56);
static_assert(offsetof(HostHeader, call_head) == 64 && offsetof(HostHeader, reply_tail) == 128 &&
              offsetof(HostHeader, wants) == 192 && offsetof(HostHeader, wants_room) == 196 &&
              sizeof(HostHeader) <= kHeaderBytes);
static_assert(offsetof(WorkerHeader, reply_head) == 64 &&
              offsetof(WorkerHeader, call_tail) == 128 && offsetof(WorkerHeader, sleeping) == 192 &&
              offsetof(WorkerHeader, claim) == 256 && offsetof(WorkerHeader, claim_ns) == 264 &&
              offsetof(WorkerHeader, claim_cpu_ns) == 272 &&
              offsetof(WorkerHeader, run_block) == 320 && offsetof(WorkerHeader, run) == 328 &&
              offsetof(WorkerHeader, run_codec) == 336 &&
              offsetof(WorkerHeader, run_bytes) == 344 && sizeof(WorkerHeader) <= kHeaderBytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace pyhost::wire
