#include <base/fork_guard.h>
#include <base/memory.h>
#include <base/system.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace pyhost::base {

Result<Mapping> Mapping::map(int fd, std::size_t bytes, Access access, bool inherit) {
  const int protection = access == Access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  void* address = mmap(nullptr, bytes, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED) {
    const std::string what = "cannot map " + std::to_string(bytes) + " bytes of shared memory";
    return system_error(Code::backpressure, what, errno);
  }
  Mapping mapping;
  mapping.data_ = static_cast<std::byte*>(address);
  mapping.size_ = bytes;
  mapping.inherited_ = inherit;
  mapping.generation_ = fork_generation();
  if (!inherit && madvise(address, bytes, MADV_DONTFORK) != 0) {
    return system_error(Code::startup, "cannot keep shared memory out of forked processes", errno);
  }
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      inherited_(other.inherited_),
      generation_(other.generation_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(inherited_, other.inherited_);
  std::swap(generation_, other.generation_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ == nullptr) return;
  // In a forked process the range was never mapped, and may hold something else by now.
  if (inherited_ || generation_ == fork_generation()) munmap(data_, size_);
}

Result<UniqueFd> create_memory(const char* name, std::size_t bytes) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error(Code::startup, "cannot create shared memory", errno);
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    const std::string what = "cannot make shared memory of " + std::to_string(bytes) + " bytes";
    return system_error(Code::startup, what, errno);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return system_error(Code::startup, "cannot seal shared memory", errno);
  }
  return fd;
}

Result<UniqueFd> create_log(const char* name) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC));
  if (!fd || fcntl(fd.get(), F_SETFL, O_APPEND) != 0) {
    return system_error(Code::startup, "cannot create a file in memory", errno);
  }
  return fd;
}

Result<UniqueFd> reopen_read_only(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd reopened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (reopened) return reopened;
  UniqueFd duplicate(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!duplicate) return system_error(Code::startup, "cannot share a memory descriptor", errno);
  return duplicate;
}

Result<void> commit(int fd, std::uint64_t offset, std::uint64_t bytes) {
  int result = 0;
  do {
    // Not posix_fallocate: where it emulates, it writes into pages others may be using.
    result = fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return {};
  const std::string what = "no memory for " + std::to_string(bytes) +
                           " more bytes shared with a worker; free some, or use fewer workers";
  return system_error(Code::backpressure, what, errno);
}

std::optional<std::uint64_t> address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const Result<std::string> counts = read_file("/proc/self/statm");
  if (!counts.ok()) return std::nullopt;
  const std::uint64_t mapped = std::strtoull(counts->c_str(), nullptr, 10) *
                               static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > mapped ? limit.rlim_cur - mapped : 0;
}

void decommit(int fd, std::uint64_t offset, std::uint64_t bytes) {
  fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(bytes));
}

}  // namespace pyhost::base
