// ring.h: placing and reading records of one ring, for both ends.
#pragma once

#include <wire/layout.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace pyhost::wire {

inline constexpr std::uint64_t kPageBytes = 4096;

// Below this a record, with the pad before it, might not fit even an empty ring.
inline constexpr std::uint32_t kLeastRingBytes = 512;
// Positions are 32 bits wide and compared by distance, so a ring is far shorter than 2^31.
inline constexpr std::uint32_t kMostRingBytes = std::uint32_t{1} << 30;

inline std::uint64_t rounded_up(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) & ~(step - 1);
}
inline std::uint64_t arena_begin(std::uint32_t ring_bytes) {
  return rounded_up(kHeaderBytes + ring_bytes, kPageBytes);
}
// Longer payloads go to the arena. Larger: few records fill the ring, and the peer starves while
// one is copied. Smaller: ordinary arguments pay for a block and a second place in memory.
inline std::uint32_t longest_inline(std::uint32_t ring_bytes) {
  return ring_bytes / 4;
}

// Shared words are read exactly once, each: a copy made by memcpy may legally be read again from
// its source after it was checked.
inline std::uint64_t load_word(const std::byte* place) {
  // C++20 has no atomic_ref to const; nothing is written through this one.
  auto* word = const_cast<std::uint64_t*>(
      reinterpret_cast<const std::uint64_t*>(static_cast<const void*>(place)));
  return std::atomic_ref<std::uint64_t>(*word).load(std::memory_order_relaxed);
}

// The bytes of one ring, addressed by positions that only ever grow (modulo 2^32).
class Ring {
 public:
  Ring() = default;
  Ring(std::byte* start, std::uint32_t bytes) : start_(start), bytes_(bytes) {}

  std::uint32_t bytes() const { return bytes_; }
  std::byte* at(std::uint32_t position) const { return start_ + (position & (bytes_ - 1)); }
  std::uint32_t left_to_end(std::uint32_t position) const {
    return bytes_ - (position & (bytes_ - 1));
  }
  // How many bytes of padding a record of `size` needs before it.
  std::uint32_t padding(std::uint32_t position, std::uint32_t size) const {
    const std::uint32_t left = left_to_end(position);
    return size > left ? left : 0;
  }

  static std::uint32_t record_bytes(std::uint64_t inline_bytes) {
    return static_cast<std::uint32_t>(rounded_up(sizeof(Envelope) + inline_bytes, kRecordAlign));
  }

  void write_padding(std::uint32_t position, std::uint32_t bytes) const {
    if (bytes == 0) return;
    const std::uint64_t first = bytes;  // kind `pad` and everything else is zero
    const std::uint64_t second = 0;
    std::memcpy(at(position), &first, sizeof first);
    std::memcpy(at(position) + sizeof first, &second, sizeof second);
  }
  void write(std::uint32_t position, const Envelope& envelope) const {
    std::memcpy(at(position), &envelope, sizeof envelope);
  }

  // What every record starts with, pads included.
  struct Start {
    std::uint32_t size;
    Kind kind;
  };
  Start start(std::uint32_t position) const {
    const std::uint64_t word = load_word(at(position));
    return {static_cast<std::uint32_t>(word), static_cast<Kind>(word >> 32 & 0xffff)};
  }
  // Requires: `sizeof(Envelope)` bytes up to the end of the ring.
  Envelope envelope(std::uint32_t position) const {
    std::uint64_t words[sizeof(Envelope) / sizeof(std::uint64_t)];
    for (std::size_t i = 0; i < std::size(words); ++i) {
      words[i] = load_word(at(position) + i * sizeof(std::uint64_t));
    }
    Envelope envelope;
    std::memcpy(&envelope, words, sizeof envelope);
    return envelope;
  }

 private:
  std::byte* start_ = nullptr;
  std::uint32_t bytes_ = 0;
};

static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free &&
              std::atomic_ref<std::uint64_t>::is_always_lock_free);

}  // namespace pyhost::wire
