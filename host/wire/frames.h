// frames.h: walking over payloads made of `u64 length, bytes` (layout.md, Payload formats).
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace pyhost::wire {

// Takes the first frame off `rest`; nullopt when there is no whole one.
inline std::optional<std::string_view> take_frame(std::string_view& rest) {
  std::uint64_t length = 0;
  if (rest.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, rest.data(), sizeof length);
  if (length > rest.size() - sizeof length) return std::nullopt;
  const std::string_view frame = rest.substr(sizeof length, length);
  rest.remove_prefix(sizeof length + length);
  return frame;
}

// How many frames make up `payload`; nullopt when it does not end with one.
inline std::optional<std::uint32_t> count_frames(std::string_view payload) {
  std::uint32_t count = 0;
  while (!payload.empty()) {
    if (!take_frame(payload)) return std::nullopt;
    ++count;
  }
  return count;
}

}  // namespace pyhost::wire
