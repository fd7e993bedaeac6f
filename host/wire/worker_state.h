// worker_state.h: what WorkerEnd keeps, for its two sources: worker_end.cc (calls, claims, replies)
// and worker_run.cc (runs of results).
#pragma once

#include <base/memory.h>
#include <wire/arena.h>
#include <wire/ring.h>
#include <wire/spin.h>
#include <wire/worker_end.h>

#include <deque>

namespace pyhost::wire {

struct WorkerEnd::State {
  // A block in use until the host has taken the record at `record_end`.
  struct Lent {
    std::uint32_t record_end = 0;
    std::uint64_t block = 0;
  };

  State(base::UniqueFd fd, base::UniqueFd bell, std::uint64_t begin, std::uint64_t end)
      : worker_fd(std::move(fd)), doorbell(std::move(bell)), arena(worker_fd.get(), begin, end) {}

  base::UniqueFd worker_fd;
  base::UniqueFd doorbell;
  base::Mapping host_region;
  base::Mapping worker_region;
  const HostHeader* theirs = nullptr;
  WorkerHeader* ours = nullptr;
  Ring calls;
  Ring replies;
  Arena arena;
  Spin spin;

  std::uint32_t read = 0;  // position in the call ring
  std::uint32_t head = 0;  // of the reply ring
  std::uint32_t tail = 0;  // of the reply ring, as last looked up
  std::deque<Lent> lent;
  std::uint64_t claimed_ns = 0;
  std::uint64_t claimed_coarse_ns = 0;  // when the clock was last looked at, by the cheap clock
  int brisk_left = 0;                   // brisk claims until the next look
  std::uint32_t announced_head = 0;     // what the host was last told of, and how
  std::uint32_t announced_wants = 0;

  // The open run.
  bool run_open = false;
  std::uint64_t run_block = 0;
  std::uint64_t run_capacity = 0;
  std::uint64_t run_bytes = 0;
  std::uint32_t run_batch = 0;
  std::uint32_t run_first = 0;
  std::uint32_t run_count = 0;
  std::uint64_t run_began_ns = 0;
  Codec run_codec = Codec::none;

  std::uint64_t moment_of_claim(bool brisk);
  void look_up_tail();
  bool has_room(std::uint32_t bytes);
  Result<bool> store_block(std::span<const std::span<const std::byte>> parts, std::uint64_t bytes,
                           Envelope& envelope);
  // Makes a complete record at `position` visible.
  void commit_record(std::uint32_t position, const Envelope& envelope);
  void announce();
  void ring_bell() const;
  // Sleeps while `word == seen`, announced as `why`; false when the deadline passed.
  bool sleep(const std::atomic<std::uint32_t>& word, std::uint32_t seen, std::uint32_t why,
             base::Deadline deadline);
};

}  // namespace pyhost::wire
