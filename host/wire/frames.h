// frames.h: payloads made of `u64 length, bytes` (layout.md, Payload formats).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pyhost::wire {

inline void append_frame(std::string& payload, std::string_view item) {
  const std::uint64_t length = item.size();
  payload.append(reinterpret_cast<const char*>(&length), sizeof length);
  payload.append(item);
}

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

inline std::optional<std::span<const std::byte>> take_frame(std::span<const std::byte>& rest) {
  std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  const auto frame = take_frame(text);
  if (!frame) return std::nullopt;
  rest = rest.last(text.size());
  return std::as_bytes(std::span(frame->data(), frame->size()));
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
