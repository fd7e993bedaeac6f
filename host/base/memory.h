// memory.h: anonymous shared memory that has no name to leak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <pyhost/result.h>

#include <base/fd.h>

namespace pyhost::base {

enum class Access { read_only, read_write };

// A mapping of a memfd, unmapped when dropped. Never inherited by forked processes
// (MADV_DONTFORK) unless `inherit` is asked for.
class Mapping {
 public:
  Mapping() = default;
  static Result<Mapping> map(int fd, std::size_t bytes, Access access, bool inherit = false);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool inherited_ = false;
  unsigned generation_ = 0;  // of the process that mapped it; copies have nothing to unmap
};

// A sparse memfd of `bytes`, CLOEXEC, sealed against growing and shrinking. Costs no memory until
// `commit`.
Result<UniqueFd> create_memory(const char* name, std::size_t bytes);

// An empty memfd to which every write is appended, CLOEXEC.
Result<UniqueFd> create_log(const char* name);

// The same file opened for reading only; falls back to a duplicate where /proc is missing.
Result<UniqueFd> reopen_read_only(int fd);

// Reserves the pages of a range, so that touching them cannot end in SIGBUS. Error when memory is
// short (code `backpressure`).
Result<void> commit(int fd, std::uint64_t offset, std::uint64_t bytes);

// How much more this process may map; nullopt: there is no limit (RLIMIT_AS), or it cannot be told.
std::optional<std::uint64_t> address_space_left();

// Gives the pages of a range back; they read as zero until committed again. Best effort.
void decommit(int fd, std::uint64_t offset, std::uint64_t bytes);

}  // namespace pyhost::base
