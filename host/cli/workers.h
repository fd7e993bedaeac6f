// workers.h: what `--workers` can be.
#pragma once

#include <pyhost/result.h>

#include <string_view>

namespace pyhost::cli {

// More processes than this is a typing error, not a pool: each costs two memory regions, two pipes
// and some MiB.
inline constexpr int kMostWorkers = 4096;

// `8`, `50%` of the CPUs, `+2` more than them, `-1` fewer, or `auto`: all of them. At least 1 for
// every form that counts from the CPUs; a plain 0 is an error.
Result<int> parse_workers(std::string_view text, int cpus);

}  // namespace pyhost::cli
