#include <base/futex.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace pyhost::base {
namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

int operation(int op, Sharing sharing) {
  return sharing == Sharing::one_process ? op | FUTEX_PRIVATE_FLAG : op;
}

timespec absolute(Moment moment) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t count = moment.time_since_epoch().count();
  timespec time{};
  time.tv_sec = count / kSecond;
  time.tv_nsec = count % kSecond;
  return time;
}

}  // namespace

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline,
                Sharing sharing) {
  timespec until{};
  if (!deadline.endless()) until = absolute(deadline.moment());
  // FUTEX_WAIT_BITSET, because FUTEX_WAIT takes a relative time and would have to be recomputed.
  const long result =
      syscall(SYS_futex, &word, operation(FUTEX_WAIT_BITSET, sharing), expected,
              deadline.endless() ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

int futex_wake(const std::atomic<std::uint32_t>& word, int count, Sharing sharing) {
  const long woken =
      syscall(SYS_futex, &word, operation(FUTEX_WAKE, sharing), count, nullptr, nullptr, 0);
  return woken < 0 ? 0 : static_cast<int>(woken);
}

}  // namespace pyhost::base
