#include <base/cgroup.h>
#include <base/system.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

namespace pyhost::base {
namespace {

// Writing to a pipe nobody reads raises SIGPIPE, which kills a host that does not ignore it. A
// library must not change that disposition, so the signal is held back around the write and taken
// away again when this thread caused it.
class HeldSigpipe {
 public:
  HeldSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  HeldSigpipe(const HeldSigpipe&) = delete;
  HeldSigpipe& operator=(const HeldSigpipe&) = delete;
  ~HeldSigpipe() {
    const timespec at_once{};
    if (broken_ && !was_pending_) sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  void broken() { broken_ = true; }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
  bool broken_ = false;
};

int affinity_cpus() {
  // 64 Ki CPUs; the fixed cpu_set_t ends at 1024 and then the call fails with EINVAL.
  for (std::size_t count = CPU_SETSIZE; count <= 65536; count *= 2) {
    std::vector<cpu_set_t> set(count / CPU_SETSIZE);
    const std::size_t bytes = set.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, set.data()) == 0) return CPU_COUNT_S(bytes, set.data());
    if (errno != EINVAL) break;
  }
  return 1;
}

}  // namespace

// What a user can do about the limits that pools run into.
static std::string_view remedy(int error_number) {
  switch (error_number) {
    case EMFILE:
      return "; raise the limit of open descriptors with `ulimit -n`, or use fewer workers";
    case ENOMEM:
      return "; the machine or a limit (`ulimit -v`, a cgroup) leaves no memory for it";
    case EAGAIN:
      return "; raise the limit of processes with `ulimit -u`, or use fewer workers";
    default:
      return "";
  }
}

Error system_error(Code code, std::string_view what, int error_number) {
  std::string message(what);
  const char* description = strerrordesc_np(error_number);
  const char* name = strerrorname_np(error_number);
  message += ": ";
  message += description != nullptr ? description : "unknown error";
  message += " (" + (name != nullptr ? std::string(name) : std::to_string(error_number)) + ")";
  message += remedy(error_number);
  return Error(code, std::move(message));
}

Result<UniqueFd> open_pidfd(pid_t pid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (fd) return fd;
  return system_error(Code::startup, "cannot watch process " + std::to_string(pid), errno);
}

bool send_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

bool wait_exit(int pidfd, Deadline deadline) {
  pollfd entry{pidfd, POLLIN, 0};
  for (;;) {
    const int ready = poll(&entry, 1, deadline.left_ms());
    if (ready > 0) return true;
    if (ready == 0 && deadline.passed()) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(Code::startup, "cannot open `" + path + "`", errno);
  std::string text;
  char part[16384];
  for (;;) {
    const ssize_t got = read(fd.get(), part, sizeof part);
    if (got == 0) return text;
    if (got > 0) text.append(part, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) {
      return system_error(Code::startup, "cannot read `" + path + "`", errno);
    }
  }
}

bool write_all(int fd, std::string_view bytes) {
  HeldSigpipe held;
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd entry{fd, POLLOUT, 0};
      poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      if (errno == EPIPE) held.broken();
      return false;
    }
  }
  return true;
}

Result<SocketPair> socket_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error(Code::startup, "cannot make a socket pair", errno);
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<Pipe> pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return system_error(Code::startup, "cannot make a pipe", errno);
  }
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

int usable_cpus() {
  const int cpus = affinity_cpus();
  const auto mounts = read_file("/proc/self/mountinfo");
  const auto groups = read_file("/proc/self/cgroup");
  if (!mounts.ok() || !groups.ok()) return cpus;
  const std::optional<int> cap = cgroup_cpus(*mounts, *groups);
  return std::max(1, cap ? std::min(cpus, *cap) : cpus);
}

std::uint64_t usable_memory() {
  struct sysinfo info {};
  std::uint64_t bytes = std::uint64_t{4} << 30;  // where nobody says, a small machine
  if (sysinfo(&info) == 0) bytes = std::uint64_t{info.totalram} * info.mem_unit;
  const auto mounts = read_file("/proc/self/mountinfo");
  const auto groups = read_file("/proc/self/cgroup");
  if (!mounts.ok() || !groups.ok()) return bytes;
  return std::min(bytes, cgroup_memory(*mounts, *groups).value_or(bytes));
}

}  // namespace pyhost::base
