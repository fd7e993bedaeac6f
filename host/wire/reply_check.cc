#include <wire/reply_check.h>

#include <algorithm>
#include <iterator>

namespace pyhost::wire {
namespace {

bool known_kind(Kind kind) {
  return kind == Kind::ready || kind == Kind::reply || kind == Kind::stopped ||
         kind == Kind::release;
}

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

std::optional<std::string> payload_fault(const Envelope& envelope, const ReplyBounds& bounds) {
  if ((envelope.flags & kInBlock) == 0) {
    // Compared with the size first, so that rounding cannot overflow.
    if (envelope.payload_bytes > envelope.size - sizeof(Envelope)) {
      return "payload length " + number(envelope.payload_bytes) + " exceeds the " +
             number(envelope.size - sizeof(Envelope)) + " bytes of its record";
    }
    if (Ring::record_bytes(envelope.payload_bytes) != envelope.size) {
      return "record size " + number(envelope.size) + " does not match payload length " +
             number(envelope.payload_bytes);
    }
    if (envelope.block != 0 && envelope.kind != Kind::release) {
      return "block " + number(envelope.block) + " named by a record without one";
    }
    return std::nullopt;
  }
  if (envelope.size != sizeof(Envelope)) {
    return "record size " + number(envelope.size) + " with a payload in a block; expected 64";
  }
  if (envelope.block % kBlockAlign != 0 || envelope.block < bounds.arena_begin ||
      envelope.block >= bounds.region_bytes) {
    return "block " + number(envelope.block) + " is not in its arena";
  }
  if (envelope.payload_bytes > bounds.region_bytes - envelope.block) {
    return "payload length " + number(envelope.payload_bytes) + " exceeds block size " +
           number(bounds.region_bytes - envelope.block);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> start_fault(const Ring::Start& start, const ReplyBounds& bounds) {
  const std::uint32_t most = std::min(bounds.to_ring_end, bounds.available);
  if (start.kind == Kind::pad) {
    if (start.size == bounds.to_ring_end && start.size <= bounds.available) return std::nullopt;
    return "padding of " + number(start.size) + " bytes where the ring ends after " +
           number(bounds.to_ring_end);
  }
  if (start.size < sizeof(Envelope) || start.size % kRecordAlign != 0 || start.size > most) {
    return "record size " + number(start.size) + " where at most " + number(most) +
           " bytes are written";
  }
  return std::nullopt;
}

std::optional<std::string> envelope_fault(const Envelope& envelope, const ReplyBounds& bounds) {
  const auto as_number = [](auto value) { return number(static_cast<std::uint64_t>(value)); };
  if (!known_kind(envelope.kind)) return "unknown kind " + as_number(envelope.kind);
  if (envelope.codec > Codec::pickle) return "unknown codec " + as_number(envelope.codec);
  if ((envelope.flags & ~(kInBlock | kPrinted | kKeeps)) != 0) {
    return "unknown flags " + number(envelope.flags);
  }
  const bool reply = envelope.kind == Kind::reply;
  if (envelope.status > (reply ? Status::marshal : Status::ok)) {
    return "unknown status " + as_number(envelope.status);
  }
  const bool odd_keeps = !reply && (envelope.flags & kKeeps) != 0;
  const bool odd_block = envelope.kind == Kind::release && (envelope.flags & kInBlock) != 0;
  if (odd_keeps || odd_block) {
    return "flags " + number(envelope.flags) + " on kind " + as_number(envelope.kind);
  }
  const bool about_an_item = reply || envelope.kind == Kind::stopped;
  if (about_an_item != (envelope.batch != 0)) return "batch " + number(envelope.batch);
  if (!about_an_item && envelope.first != 0) return "item " + number(envelope.first);
  const bool zero = envelope.function == 0 && envelope.end == 0 && envelope.style == Style{} &&
                    std::all_of(std::begin(envelope.reserved), std::end(envelope.reserved),
                                [](std::uint8_t byte) { return byte == 0; });
  if (!zero) return "a field that replies do not use is not zero";
  return payload_fault(envelope, bounds);
}

}  // namespace pyhost::wire
