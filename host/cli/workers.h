// workers.h: what `--workers` can be.
#pragma once

#include <pyhost/options.h>
#include <pyhost/result.h>

#include <string_view>

namespace pyhost::cli {

// More processes than this is a typing error, not a pool: each costs two memory regions, two pipes
// and some MiB.
inline constexpr int kMostWorkers = 4096;

// `8`, `50%` of the CPUs, `+2` more than them, `-1` fewer, or `auto`: all of them; or MIN:MAX, each
// one of these, for as many as the load wants. At least 1 for every form that counts from the CPUs;
// a plain 0 is an error but for MIN.
Result<WorkerCount> parse_workers(std::string_view text, int cpus);

}  // namespace pyhost::cli
