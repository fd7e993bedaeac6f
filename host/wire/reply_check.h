// reply_check.h: whether a record a worker wrote makes sense as a record.
#pragma once

#include <wire/layout.h>
#include <wire/ring.h>

#include <cstdint>
#include <optional>
#include <string>

namespace pyhost::wire {

// What is known of the region a record came from, all of it the host's own knowledge.
struct ReplyBounds {
  std::uint32_t to_ring_end = 0;  // bytes from the record to the end of its ring
  std::uint32_t available = 0;    // bytes from the record to reply_head
  std::uint64_t arena_begin = 0;
  std::uint64_t region_bytes = 0;
};

// What is wrong with the start of a record, pads included; nullopt: nothing.
std::optional<std::string> start_fault(const Ring::Start& start, const ReplyBounds& bounds);

// What is wrong with a private copy of an envelope, as part of a sentence; nullopt: nothing.
// Requires: `start_fault` found nothing, and it is no pad.
std::optional<std::string> envelope_fault(const Envelope& envelope, const ReplyBounds& bounds);

}  // namespace pyhost::wire
