// quantities.h: durations, sizes and counts as options are given them.
#pragma once

#include <pyhost/result.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyhost::cli {

// Every error is a `startup` that names the option, the value and what is allowed.

// `2`, `0.5`, `500ms`, `2s`, `1.5m`, `1h`. Error: nonsense, zero, negative, over a hundred years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view option, std::string_view text);
// The same, where no time at all makes sense, too.
Result<std::chrono::nanoseconds> parse_duration_or_zero(std::string_view option,
                                                        std::string_view text);

// Bytes: `1000000`, `512M`, `1.5G`, `2GiB`; K, M, G and T are powers of 1024, with or without
// `iB` or `B`, in either case.
Result<std::uint64_t> parse_size(std::string_view option, std::string_view text);

// A whole number from `least` to `most`.
Result<std::uint64_t> parse_count(std::string_view option, std::string_view text,
                                  std::uint64_t least, std::uint64_t most);

}  // namespace pyhost::cli
