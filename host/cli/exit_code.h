// exit_code.h: what the command's exit status means. The same numbers as GNU parallel's, plus 2 for
// usage errors as GNU tools have it. `pyhost help exit-codes` says so to users.
#pragma once

#include <cstdint>

namespace pyhost::cli {

inline constexpr int kSuccess = 0;
// 1..100: that many calls failed. 101: more than 100 did.
inline constexpr std::uint64_t kMostCounted = 100;
inline constexpr int kManyFailed = 101;
// Shares its number with "two calls failed", as in GNU parallel; the message tells them apart.
inline constexpr int kUsage = 2;
inline constexpr int kInterrupted = 130;  // 128 + SIGINT
inline constexpr int kEnded = 143;        // 128 + SIGTERM
inline constexpr int kHostFailed = 255;

// Not an exit status: the reader of stdout is gone, and the command ends itself by SIGPIPE.
inline constexpr int kReaderGone = 1000;

inline int exit_code_for(std::uint64_t failed_calls) {
  return failed_calls > kMostCounted ? kManyFailed : static_cast<int>(failed_calls);
}

}  // namespace pyhost::cli
