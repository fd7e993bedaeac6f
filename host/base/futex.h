// futex.h: sleeping on a 32-bit word, in private or in shared memory.
//
// `std::atomic::wait` uses private futexes and never wakes another process, so the word is handed
// to the system call directly.
#pragma once

#include <atomic>
#include <cstdint>

#include <base/clock.h>

namespace pyhost::base {

enum class Sharing { one_process, processes };

// Sleeps while `word == expected`, at most until `deadline`. May return early (a signal, a spurious
// wake-up): callers re-check. Returns false only when the deadline has passed. The page may be
// mapped read-only.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline,
                Sharing sharing);

// Wakes up to `count` sleepers; returns how many.
int futex_wake(const std::atomic<std::uint32_t>& word, int count, Sharing sharing);

}  // namespace pyhost::base
