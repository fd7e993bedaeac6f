// oom.h: whether the kernel killed processes for want of memory.
#pragma once

#include <cstdint>
#include <string_view>

namespace pyhost::base {

// How many processes the kernel killed for want of memory so far, on this machine or in this
// process's control group, as far as it tells. Only its growth means anything.
std::uint64_t oom_kills();

// The number behind `key` in a text of lines "key number"; 0 when there is none.
std::uint64_t counter_in(std::string_view text, std::string_view key);

}  // namespace pyhost::base
