// text.h: small pieces that the codecs and the error payloads share: words at a time through a
// text, Python strings as UTF-8, quoting.
#pragma once

#include <Python.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pyhost::python {

inline constexpr char kHexDigits[] = "0123456789abcdef";

inline constexpr std::uint64_t kEveryByte = 0x0101010101010101;

inline std::uint64_t load_word(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The high bit of each byte of `word` that equals `byte`; bytes above the lowest match may be
// marked wrongly, so only the lowest mark counts. The same holds for the masks below.
inline std::uint64_t marks_of(std::uint64_t word, std::uint8_t byte) {
  const std::uint64_t difference = word ^ (kEveryByte * byte);
  return (difference - kEveryByte) & ~difference & (kEveryByte * 0x80);
}

// Marks what cannot stand for itself inside a JSON string: quote, backslash, control characters.
inline std::uint64_t special_marks(std::uint64_t word) {
  const std::uint64_t control = (word - kEveryByte * 0x20) & ~word & (kEveryByte * 0x80);
  return marks_of(word, '"') | marks_of(word, '\\') | control;
}

// Index of the first byte marked in a non-zero mask, in memory order.
inline int first_mark(std::uint64_t marks) {
  return __builtin_ctzll(marks) / 8;
}

inline bool is_special(unsigned char c) {
  return c < 0x20 || c == '"' || c == '\\';
}

// A Python str as UTF-8; surrogates become `\udc80` and the like. Never fails: "?"
// when memory is short. A pending exception stays. `limit`: longer texts are cut, and say so.
std::string utf8_of(PyObject* text, std::size_t limit = SIZE_MAX);

// Cuts `text` to `limit` bytes at a character and appends how much is missing.
void cut(std::string& text, std::size_t limit);

// Appends `text`, which is UTF-8, as a JSON string.
void append_quoted(std::string& out, std::string_view text);

// The name of a type as errors show it: `int`, `collections.OrderedDict`. A pending exception
// stays.
std::string type_name(PyTypeObject* type);

}  // namespace pyhost::python
