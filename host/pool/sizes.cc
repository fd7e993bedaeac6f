#include <pool/sizes.h>

#include <algorithm>
#include <string>

namespace pyhost::pool {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// Below, arguments of a few hundred KiB would not fit.
constexpr std::uint64_t kLeastRegion = 2 * kMiB;

// A worker maps two regions, and gives them half of its half: the rest is for what it imports.
constexpr std::size_t kLeastShares = 4;

}  // namespace

Result<wire::Sizes> sizes_within(std::optional<std::uint64_t> left, std::size_t workers) {
  wire::Sizes sizes;
  if (!left) return sizes;
  const std::uint64_t share = *left / 2 / std::max(workers, kLeastShares);
  if (share < kLeastRegion) {
    return Error(Code::startup, "the limit of address space (`ulimit -v`) leaves " +
                                    std::to_string(*left / kMiB) +
                                    " MiB, too little to share with " + std::to_string(workers) +
                                    " workers; raise it, or use fewer workers");
  }
  sizes.region_bytes = std::min(sizes.region_bytes, share / kMiB * kMiB);
  return sizes;
}

}  // namespace pyhost::pool
