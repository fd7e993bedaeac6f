// items.h: taking the payload of a call apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <wire/layout.h>

namespace pyhost::worker {

// Whether a pickle item has out-of-band buffers: its first word counts them.
inline bool has_buffers(wire::Codec codec, std::span<const std::byte> item) {
  std::uint32_t buffers = 0;
  if (codec != wire::Codec::pickle || item.size() < sizeof buffers) return false;
  std::memcpy(&buffers, item.data(), sizeof buffers);
  return buffers > 0;
}

}  // namespace pyhost::worker
