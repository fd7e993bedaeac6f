#include <base/fd.h>
#include <unistd.h>

#include <cerrno>

namespace pyhost::base {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  // Not retried on EINTR: Linux has freed the number by then, and another thread may own it now.
  const int saved = errno;
  close(old);
  errno = saved;
}

}  // namespace pyhost::base
