// text.h: JSON strings, written and read; lines; lists.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

// Appends `text` as a JSON string. When it is not UTF-8, appends nothing and returns where the
// first bad byte is.
std::optional<std::size_t> append_json_string(std::string_view text, std::string& out);

// Appends the characters of a JSON string, quotes and escapes removed; of any other JSON text, the
// text. A lone surrogate becomes U+FFFD.
void append_bare(std::string_view json, std::string& out);

// Appends each line of `text`, two spaces before it.
void append_indented(std::string_view text, std::string& out);

// The words of all `lists`, each of which may have several, separated by commas; no empty ones.
std::vector<std::string> split_lists(const std::vector<std::string>& lists);

}  // namespace pyhost::cli
