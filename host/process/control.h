// control.h: what host and zygote say to each other, over one SOCK_SEQPACKET socket.
//
//   host -> zygote    load {LoadPlan as JSON}   once, first
//                     fork {worker} + fds       make a worker (kForkFds descriptors, in order)
//                     become {worker} + fds     turn into that worker instead of forking it
//                     stop                      end, once no worker is left to report
//   zygote -> host    ready {JSON: see ZygoteInfo} | failed {error JSON}
//                     forked {worker, pid} + pidfd | fork_failed {worker, errno}
//                     exited {worker, pid, status}     a worker was reaped: status of waitpid
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
};

// Descriptors that travel with fork and become, in this order.
enum ForkFd { kHostRegionFd, kWorkerRegionFd, kDoorbellFd, kStdoutFd, kStderrFd, kForkFds };

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
