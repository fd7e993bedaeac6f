#include <pool/identities.h>

#include <algorithm>
#include <atomic>

namespace pyhost::pool {

std::uint32_t reserve_identities(std::uint32_t count, std::uint32_t at_least) {
  static std::atomic<std::uint32_t> next{1};
  std::uint32_t seen = next.load();
  std::uint32_t first = 0;
  do {
    first = std::max(seen, at_least);
  } while (!next.compare_exchange_weak(seen, first + count));
  return first;
}

}  // namespace pyhost::pool
