// identities.h: numbers for workers that hold over all pools of this process.
#pragma once

#include <cstdint>

namespace pyhost::pool {

// Takes `count` numbers in a row, none below `at_least`; returns the first. The first of all is 1,
// and no number is taken twice. Threads: any.
std::uint32_t reserve_identities(std::uint32_t count, std::uint32_t at_least = 1);

}  // namespace pyhost::pool
