// peak.h: the most memory this process held.
#pragma once

#include <cstdint>

namespace pyhost::worker {

// KiB that were resident at most so far, as of a few ms ago at worst: a call in between costs a
// glance at a coarse clock, and no system call.
//
// Threads: one at a time (in workers: whoever holds the GIL).
std::uint32_t peak_kib();

}  // namespace pyhost::worker
