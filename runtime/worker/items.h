// items.h: taking the payload of a call apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include <wire/layout.h>

namespace pyhost::worker {

// The next framed item of a payload: u64 length, bytes. Nothing when the frame is broken.
inline std::optional<std::span<const std::byte>> next_item(std::span<const std::byte>& rest) {
  std::uint64_t length = 0;
  if (rest.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, rest.data(), sizeof length);
  rest = rest.subspan(sizeof length);
  if (length > rest.size()) return std::nullopt;
  const auto item = rest.first(length);
  rest = rest.subspan(length);
  return item;
}

// Whether a pickle item has out-of-band buffers: its first word counts them.
inline bool has_buffers(wire::Codec codec, std::span<const std::byte> item) {
  std::uint32_t buffers = 0;
  if (codec != wire::Codec::pickle || item.size() < sizeof buffers) return false;
  std::memcpy(&buffers, item.data(), sizeof buffers);
  return buffers > 0;
}

}  // namespace pyhost::worker
