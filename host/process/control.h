// control.h: what host and zygote say to each other, over one SOCK_SEQPACKET socket.
//
//   host -> zygote    inherit {} + fds          descriptors for its workers, counted over all such
//                                             messages, which come before load
//                     load {LoadPlan as JSON}   once
//                     fork {worker, WorkerSettings} + fds    make a worker (kForkFds descriptors)
//                     become {worker, WorkerSettings} + fds  turn into it instead of forking it
//                     stop                      end, once no worker is left to report
//   zygote -> host    ready {JSON: see ZygoteInfo} | failed {error JSON}
//                     forked {worker, pid} + pidfd | fork_failed {worker, errno}
//                     exited {worker, pid, status, peak_bytes}    a worker was reaped
//   watcher -> host   zygote_exited {pid, status}      always the last message
//
// One packet is one message: this header, then `body_bytes` of text. The watcher is the zygote's
// parent and shares the socket, so that the host hears how a zygote ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pyhost/result.h>

#include <base/fd.h>

namespace pyhost::process {

enum class ControlKind : std::uint32_t {
  load = 1,
  fork,
  become,
  stop,
  inherit,
  ready = 16,
  failed,
  forked,
  fork_failed,
  exited,
  zygote_exited,
};

struct ControlHeader {
  ControlKind kind = ControlKind::load;
  std::int32_t worker = -1;
  std::int32_t pid = 0;
  std::int32_t status = 0;  // waitpid status, or errno
  std::uint32_t body_bytes = 0;
  std::uint32_t reserved = 0;
  std::uint64_t peak_bytes = 0;  // most memory the process ever held, by wait4
};

// Descriptors that travel with fork and become, in this order. kForensicsFd is a memfd for what is
// written in the moment of a crash, or when a worker is asked where it is: Python stacks. The text
// is appended; the host may empty the file at any time. `runtime/worker/forensics.h` says how it
// reads; an answer to a question is complete when its line `pyhost: end of stacks` is there.
enum ForkFd {
  kHostRegionFd,
  kWorkerRegionFd,
  kDoorbellFd,
  kStdoutFd,
  kStderrFd,
  kForensicsFd,
  kForkFds
};

// Descriptors of one `inherit`. The kernel takes 253 with one packet.
inline constexpr std::size_t kMostInherited = 250;

// The body of fork and become, as it lies in memory.
struct WorkerSettings {
  std::uint64_t memory_bytes = 0;  // RLIMIT_DATA above what the process has at its start; 0: none
  std::uint32_t concurrency = 1;   // calls in flight
  std::uint32_t threads = 0;       // of BLAS and OpenMP libraries that are loaded; 0: leave alone
  std::uint64_t own_arrays = 0;    // buffers of arguments up to so many bytes are the task's own
  std::uint32_t identity = 0;      // counted from 1 over all workers of the host
  std::uint32_t strict = 0;        // 1: a call whose arguments cannot be rebuilt ends the process
};

// What makes a worker look at its calls' `interrupt` (host/wire/layout.md), and write its Python
// stack to kForensicsFd first. A real-time signal, since the others have uses in user code.
int interrupt_signal();

inline constexpr std::size_t kMaxBody = std::size_t{128} * 1024;  // below the default socket buffer

struct ControlMessage {
  ControlHeader header;
  std::string body;
  std::vector<base::UniqueFd> fds;
};

// Sends one message; the descriptors stay the caller's. A body over kMaxBody is cut. Error
// `startup` when the peer is gone or the buffer stays full.
Result<void> send_control(int socket, ControlHeader header, std::string_view body = {},
                          std::span<const int> fds = {});

// The next message. nullopt: nothing there now (with `wait` false), or the peer closed the socket
// (`closed` set). Error `protocol`: a packet that is no message.
struct Received {
  std::optional<ControlMessage> message;
  bool closed = false;
};
Result<Received> receive_control(int socket, bool wait);

}  // namespace pyhost::process
