// system.h: small wrappers over system calls that libc lacks or that every caller would repeat.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pyhost/result.h>

#include <base/clock.h>
#include <base/fd.h>

namespace pyhost::base {

// "`what`: No such file or directory (ENOENT)": how every failed system call is told.
Error system_error(Code code, std::string_view what, int error_number);

Result<UniqueFd> open_pidfd(pid_t pid);
// False when the process is already gone.
bool send_signal(int pidfd, int signal);
// Waits until the process behind the pidfd has ended; false when the deadline passed first.
bool wait_exit(int pidfd, Deadline deadline);

Result<std::string> read_file(const std::string& path);
// Writes all of `bytes`, retrying on EINTR and polling on EAGAIN. False when the reader is gone.
bool write_all(int fd, std::string_view bytes);

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};
Result<SocketPair> socket_pair();  // SOCK_SEQPACKET, CLOEXEC

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};
Result<Pipe> pipe();  // CLOEXEC, blocking

// CPUs this process may use: the affinity mask, capped by the cgroup's CPU quota; at least 1.
int usable_cpus();

// Bytes this process and its workers may hold together: the machine's memory, capped by the cgroup.
std::uint64_t usable_memory();

// Memory of a process that is its own: resident, not shared with others through files or memfds. 0
// when it is gone.
std::uint64_t private_bytes(pid_t pid);
// Its anonymous memory, where each page counts by its share among all processes that have it.
// nullopt when the kernel does not tell. Walks all page tables of the process.
std::optional<std::uint64_t> proportional_bytes(pid_t pid);

// All descendants of `pid` (not itself), children first seen first. Reads /proc.
std::vector<pid_t> descendants(pid_t pid);

// SIGKILLs a process and everything below it that can be found. Best effort, never blocks.
void kill_tree(pid_t pid);

}  // namespace pyhost::base
