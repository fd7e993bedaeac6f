// limits.h: the options that say what a call and a worker may take.
#pragma once

#include <cli/command_line.h>
#include <pyhost/options.h>
#include <pyhost/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

// Below this no interpreter comes up, with a script and its modules loaded.
inline constexpr std::uint64_t kLeastMemory = std::uint64_t{16} << 20;

// What `--memory` can be on a machine, or in a container, that has `usable` bytes. Error: no size,
// below kLeastMemory, above `usable`.
Result<std::uint64_t> parse_memory(std::string_view option, std::string_view text,
                                   std::uint64_t usable);

// The kinds and names of exceptions of all `--retry-on`, separated by commas. Error: what cannot be
// retried, the closest kind for a misspelled one.
Result<std::vector<std::string>> parse_retry_on(const std::vector<std::string>& lists);

// Fills in the limits that were given and leaves the others as they are. Error: the first value
// that makes no sense.
Result<void> read_limits(const OptionValues& options, PoolOptions& pool);

}  // namespace pyhost::cli
