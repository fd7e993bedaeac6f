#include <Python.h>
#include <base/fd.h>
#include <base/system.h>
#include <driver/streams.h>
#include <fcntl.h>
#include <python/ref.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <tuple>

namespace pyhost::driver {
namespace {

using python::PyRef;

// By descriptor: Python found it closed.
constinit std::array<std::atomic<bool>, 3> was_closed{};

// Whether the number has come to mean something that is meant to be a stream.
bool is_inheritable(int fd) {
  const int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

}  // namespace

void occupy_closed_streams() {
  constexpr std::array<const char*, 3> names = {"__stdin__", "__stdout__", "__stderr__"};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    const auto index = static_cast<std::size_t>(fd);
    was_closed[index] = PySys_GetObject(names[index]) == Py_None;
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // Reading and writing fail as with a closed descriptor, which O_RDONLY would do for one only.
    base::UniqueFd opened(open("/dev/null", O_PATH | O_CLOEXEC));
    if (opened.get() == fd) std::ignore = opened.release();
  }
}

void print(int fd, std::string_view text) {
  if (was_closed[static_cast<std::size_t>(fd)] && !is_inheritable(fd)) return;
  base::write_all(fd, text);
}

}  // namespace pyhost::driver
