// text.h: small pieces of text both ways: JSON strings, durations.
#pragma once

#include <pyhost/result.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyhost::cli {

// Appends `text` as a JSON string. When it is not UTF-8, appends nothing and returns where the
// first bad byte is.
std::optional<std::size_t> append_json_string(std::string_view text, std::string& out);

// Appends the characters of a JSON string, quotes and escapes removed; of any other JSON text, the
// text. A lone surrogate becomes U+FFFD.
void append_bare(std::string_view json, std::string& out);

// `2`, `0.5`, `500ms`, `2s`, `1.5m`, `1h`. Error: nonsense, zero, negative.
Result<std::chrono::nanoseconds> parse_duration(std::string_view option, std::string_view text);

}  // namespace pyhost::cli
