#include <wire/reply_check.h>

#include <algorithm>

namespace pyhost::wire {
namespace {

bool known_kind(Kind kind) {
  return kind >= Kind::ready && kind <= Kind::results;
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

// A run of results must have one for each item. Framed ones are counted when they are taken apart.
std::optional<std::string> results_fault(const Envelope& envelope) {
  if (envelope.codec == Codec::none) return "results without a codec";
  if (envelope.end <= envelope.first) {
    return "results of items " + number(envelope.first) + " to " + number(envelope.end);
  }
  const std::uint64_t items = envelope.end - envelope.first;
  const bool numbers = envelope.codec == Codec::i64 || envelope.codec == Codec::f64;
  if (numbers ? envelope.payload_bytes != items * sizeof(std::int64_t)
              : envelope.payload_bytes < items * sizeof(std::uint64_t)) {
    return number(envelope.payload_bytes) + " bytes for " + number(items) + " results";
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
  const bool results = envelope.kind == Kind::results;
  const Codec last_codec = results ? Codec::f64 : Codec::pickle;
  if (envelope.codec > last_codec) return "unknown codec " + as_number(envelope.codec);
  if ((envelope.flags & ~(kInBlock | kPrinted | kKeeps)) != 0) {
    return "unknown flags " + number(envelope.flags);
  }
  const bool reply = envelope.kind == Kind::reply;
  if (envelope.status > (reply ? Status::memory : Status::ok)) {
    return "unknown status " + as_number(envelope.status);
  }
  const bool odd_keeps = !reply && (envelope.flags & kKeeps) != 0;
  const bool odd_block = envelope.kind == Kind::release && (envelope.flags & kInBlock) != 0;
  if (odd_keeps || odd_block) {
    return "flags " + number(envelope.flags) + " on kind " + as_number(envelope.kind);
  }
  const bool about_an_item =
      reply || results || envelope.kind == Kind::stopped || envelope.kind == Kind::started;
  if (about_an_item != (envelope.batch != 0)) return "batch " + number(envelope.batch);
  if (!about_an_item && envelope.first != 0) return "item " + number(envelope.first);
  if (results) {
    if (auto fault = results_fault(envelope)) return fault;
  } else if (envelope.end != 0) {
    return "end " + number(envelope.end) + " on kind " + as_number(envelope.kind);
  }
  const bool zero = (reply || envelope.function == 0) && envelope.style == Style{} &&
                    envelope.result_codec == Codec::none && envelope.interrupt == 0 &&
                    (results || envelope.ran_ns == 0);
  if (!zero) return "a field that replies do not use is not zero";
  return payload_fault(envelope, bounds);
}

}  // namespace pyhost::wire
