#include <sys/resource.h>
#include <worker/memory_cap.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include <base/system.h>

namespace pyhost::worker {
namespace {

// What Headroom adds. Less: describing a deep traceback may fail, and says less then. More: is more
// than the user allowed.
constexpr rlim_t kHeadroom = rlim_t{8} * 1024 * 1024;

bool capped = false;
rlim_t cap = RLIM_INFINITY;  // the soft limit between headrooms

// Private writable memory of this process, as the kernel counts it against RLIMIT_DATA.
std::uint64_t data_bytes() {
  const Result<std::string> status = base::read_file("/proc/self/status");
  if (!status.ok()) return 0;
  constexpr std::string_view kName = "\nVmData:";
  const std::size_t at = status->find(kName);
  if (at == std::string::npos) return 0;
  const std::size_t digits = status->find_first_of("0123456789", at);
  if (digits == std::string::npos) return 0;
  std::uint64_t kilobytes = 0;
  std::from_chars(status->data() + digits, status->data() + status->size(), kilobytes);
  return kilobytes * 1024;
}

std::uint64_t stack_bytes() {
  rlimit stack{};
  constexpr std::uint64_t kUsual = std::uint64_t{8} * 1024 * 1024;
  if (getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur == RLIM_INFINITY) return kUsual;
  return stack.rlim_cur;
}

void set_soft_limit(rlim_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_DATA, &limit) != 0) return;
  limit.rlim_cur = std::min(bytes, limit.rlim_max);
  setrlimit(RLIMIT_DATA, &limit);
}

}  // namespace

void cap_memory(std::uint64_t bytes, std::uint32_t stacks) {
  if (bytes == 0) return;
  rlimit limit{};
  if (getrlimit(RLIMIT_DATA, &limit) != 0) return;
  capped = true;
  // A limit of the user's own may be tighter.
  cap = std::min<rlim_t>(data_bytes() + bytes + stacks * stack_bytes(), limit.rlim_cur);
  limit.rlim_cur = cap;
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, cap + kHeadroom);
  setrlimit(RLIMIT_DATA, &limit);
}

bool memory_capped() {
  return capped;
}

Headroom::Headroom() {
  if (capped) set_soft_limit(cap + kHeadroom);
}

Headroom::~Headroom() {
  if (capped) set_soft_limit(cap);
}

}  // namespace pyhost::worker
