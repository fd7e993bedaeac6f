// text.cc: JSON strings, lines and lists.
#include <cli/text.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace pyhost::cli {
namespace {

// Bytes of the UTF-8 sequence at `at`, 0 when there is none: no overlong forms, no surrogates,
// nothing above U+10FFFF.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

void append_escape(unsigned char c, std::string& out) {
  constexpr char digits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\r':
      out += "\\r";
      break;
    default:
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
  }
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// The unit of a `\uXXXX` whose backslash is at `at`.
std::optional<std::uint32_t> unit_at(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  const char* digits = text.data() + at + 2;
  const auto [end, error] = std::from_chars(digits, digits + 4, unit, 16);
  if (error != std::errc() || end != digits + 4) return std::nullopt;
  return unit;
}

// Appends the escape at `at`; returns how many bytes it took.
std::size_t append_unescaped(std::string_view text, std::size_t at, std::string& out) {
  constexpr std::string_view letters = "bfnrt";
  constexpr std::string_view meanings = "\b\f\n\r\t";
  if (at + 1 >= text.size()) return 1;
  const char letter = text[at + 1];
  if (letter != 'u') {
    const std::size_t known = letters.find(letter);
    out += known == std::string_view::npos ? letter : meanings[known];
    return 2;
  }
  constexpr std::uint32_t replacement = 0xFFFD;
  const std::uint32_t unit = unit_at(text, at).value_or(replacement);
  const bool high = unit >= 0xD800 && unit < 0xDC00;
  const std::uint32_t low = high ? unit_at(text, at + 6).value_or(0) : 0;
  if (low >= 0xDC00 && low < 0xE000) {
    append_utf8(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00), out);
    return 12;
  }
  append_utf8(unit >= 0xD800 && unit < 0xE000 ? replacement : unit, out);
  return 6;
}

}  // namespace

std::optional<std::size_t> append_json_string(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    std::size_t run = at;
    while (run < text.size()) {
      const auto c = static_cast<unsigned char>(text[run]);
      if (c < 0x20 || c == '"' || c == '\\') break;
      const std::size_t length = sequence_length(text, run);
      if (length == 0) {
        out.resize(before);
        return run;
      }
      run += length;
    }
    out.append(text, at, run - at);
    if (run < text.size()) append_escape(static_cast<unsigned char>(text[run++]), out);
    at = run;
  }
  out += '"';
  return std::nullopt;
}

void append_bare(std::string_view json, std::string& out) {
  if (json.size() < 2 || json.front() != '"' || json.back() != '"') {
    out += json;
    return;
  }
  const std::string_view text = json.substr(1, json.size() - 2);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t escape = std::min(text.find('\\', at), text.size());
    out.append(text, at, escape - at);
    at = escape;
    if (at < text.size()) at += append_unescaped(text, at, out);
  }
}

void append_indented(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += "  ";
    out += text.substr(0, end);
    out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string> split_lists(const std::vector<std::string>& lists) {
  std::vector<std::string> words;
  for (const std::string& list : lists) {
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t comma = std::min(list.find(',', at), list.size());
      if (comma > at) words.push_back(list.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return words;
}

}  // namespace pyhost::cli
