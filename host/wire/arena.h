// arena.h: allocates blocks of one region for their only writer.
#pragma once

#include <pyhost/result.h>

#include <cstdint>
#include <map>
#include <memory>

namespace pyhost::wire {

// Hands out blocks of the range [begin, end) of a region. All of its state is private to the
// process that writes the region, so a peer that is killed, or lies, cannot damage it.
//
// Owner:   the process that writes the region.
// Threads: one at a time.
class Arena {
 public:
  // Blocks are offsets from the start of the region behind `fd`; pages are committed as blocks
  // first need them and handed back by `trim`.
  Arena(int fd, std::uint64_t begin, std::uint64_t end);
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  // The offset of a block of at least `bytes`, 64-byte aligned, 64 spare bytes behind it.
  // Error `backpressure` when the arena or the machine has no room; nothing changes then.
  Result<std::uint64_t> allocate(std::uint64_t bytes);
  // Requires: `offset` came from `allocate` and was not released since.
  void release(std::uint64_t offset);
  // Whether a failing `allocate` would be the machine's fault and not the arena's.
  bool has_room(std::uint64_t bytes) const;

  std::uint64_t used_bytes() const;       // in blocks handed out
  std::uint64_t committed_bytes() const;  // pages held

  // Gives the pages of free ranges back, except for `keep_bytes` kept warm at the front.
  void trim(std::uint64_t keep_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pyhost::wire
