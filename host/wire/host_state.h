// host_state.h: what HostEnd keeps privately, for its three sources: host_end.cc (life, claims),
// host_post.cc (the call ring), host_replies.cc (the reply ring).
#pragma once

#include <base/fork_guard.h>
#include <base/memory.h>
#include <wire/arena.h>
#include <wire/host_end.h>
#include <wire/ring.h>

#include <atomic>
#include <deque>
#include <unordered_set>

namespace pyhost::wire {

struct ReplyBounds;

// A posted record whose room is not free yet.
struct Record {
  std::uint32_t position = 0;
  std::uint32_t size = 0;
  std::uint32_t batch = 0;     // 0: a definition
  std::uint32_t end = 0;       // items at or above it never run
  std::uint32_t in_doubt = 0;  // item + 1 of which `stopped` is news; 0: none
  std::uint64_t block = 0;
  bool finished = false;
  bool keep_block = false;
  bool block_released = false;
};

struct HostEnd::State {
  State(const Sizes& chosen, base::UniqueFd host, base::UniqueFd worker)
      : sizes(chosen),
        host_fd(std::move(host)),
        worker_fd(std::move(worker)),
        arena(host_fd.get(), arena_begin(sizes.ring_bytes), sizes.region_bytes) {}

  Sizes sizes;
  base::HostFd host_fd;
  base::HostFd worker_fd;
  base::Mapping host_region;
  base::Mapping worker_start;  // header and ring; payloads in blocks are read from the descriptor
  HostHeader* ours = nullptr;
  const WorkerHeader* theirs = nullptr;
  Ring calls;
  Ring replies;
  Arena arena;

  std::uint32_t head = 0;        // of the call ring
  std::uint32_t free_below = 0;  // records below may be overwritten
  std::uint32_t passed = 0;      // call_tail, as far as it is believed
  bool waits_for_room = false;
  std::uint32_t next_batch = 1;
  std::deque<Record> posted;
  std::unordered_set<std::uint64_t> kept;  // blocks of finished calls that the worker still uses

  std::atomic<std::uint32_t> tail{0};  // of the reply ring
  bool greeted = false;                // the worker's header was checked

  Result<void> map();
  Record* find(std::uint32_t position);
  void reclaim();
  void drop_block(Record& record);
  bool has_room(std::uint32_t bytes);
  void ask_for_room();
  Result<std::optional<Posted>> append(Envelope envelope, Bytes payload);
  Result<std::optional<std::uint64_t>> store_block(Bytes payload);

  Result<bool> find_record(ReplyBounds& bounds);
  void advance(std::uint32_t bytes);
  Result<void> check_greeting();
  Result<void> copy_block(std::uint64_t block, std::uint64_t bytes, std::string& to) const;
  Result<void> copy_payload(const Envelope& envelope, std::uint32_t position, std::string& to);
  bool is_news(const Envelope& stopped);
  std::uint32_t told_in_ring(std::uint32_t batch, std::uint32_t end) const;
};

}  // namespace pyhost::wire
