#include <worker/peak.h>

#include <sys/resource.h>

#include <ctime>

namespace pyhost::worker {

std::uint32_t peak_kib() {
  static timespec looked{};
  static std::uint32_t peak = 0;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  if (now.tv_nsec == looked.tv_nsec && now.tv_sec == looked.tv_sec) return peak;
  looked = now;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) peak = static_cast<std::uint32_t>(usage.ru_maxrss);
  return peak;
}

}  // namespace pyhost::worker
