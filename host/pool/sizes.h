// sizes.h: how much address space the regions of workers may take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <pyhost/result.h>

#include <wire/host_end.h>

namespace pyhost::pool {

// Sizes of the regions of as many workers, in a process that may map `left` more bytes, and in
// workers that may map as many. nullopt: there is no limit. Error `startup`: not even the smallest
// regions fit.
Result<wire::Sizes> sizes_within(std::optional<std::uint64_t> left, std::size_t workers);

}  // namespace pyhost::pool
