// control.cc: one message per packet, with descriptors.
#include <base/clock.h>
#include <base/system.h>
#include <poll.h>
#include <process/control.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>

namespace pyhost::process {
namespace {

static_assert(std::is_trivially_copyable_v<ControlHeader> && sizeof(ControlHeader) == 32);

// How long a peer may leave its buffer full. The peer reads between two short steps, except while
// it loads the script; then the buffer holds hundreds of messages.
constexpr auto kSendLimit = std::chrono::seconds(2);

// Room for one descriptor more than any message carries, so that an excess is seen.
constexpr std::size_t kMaxFds = kMostInherited + 1;

constexpr std::size_t most_fds(ControlKind kind) {
  return kind == ControlKind::inherit ? kMostInherited : std::size_t{kForkFds};
}

bool is_kind(ControlKind kind) {
  switch (kind) {
    case ControlKind::load:
    case ControlKind::fork:
    case ControlKind::become:
    case ControlKind::stop:
    case ControlKind::inherit:
    case ControlKind::ready:
    case ControlKind::failed:
    case ControlKind::forked:
    case ControlKind::fork_failed:
    case ControlKind::exited:
    case ControlKind::zygote_exited:
      return true;
  }
  return false;
}

// Waits for the socket; false when the deadline passed.
bool wait_socket(int socket, short events, base::Deadline deadline) {
  while (true) {
    pollfd watched{socket, events, 0};
    const int ready = poll(&watched, 1, deadline.left_ms());
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the next call on the socket tells
    if (deadline.passed()) return false;
  }
}

Error protocol_error(std::string message) {
  return {Code::protocol, "control socket: " + std::move(message)};
}

// Owns what came with a packet from here on, so that no path leaks a descriptor.
std::vector<base::UniqueFd> take_fds(msghdr& message) {
  std::vector<base::UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// Checks a packet of `size` bytes in `packet` and makes it a message.
Result<Received> parse(std::string packet, std::vector<base::UniqueFd> fds, int flags) {
  ControlMessage message;
  if (packet.size() < sizeof message.header) {
    return protocol_error("a packet of " + std::to_string(packet.size()) +
                          " bytes is shorter than the header of " +
                          std::to_string(sizeof message.header));
  }
  std::memcpy(&message.header, packet.data(), sizeof message.header);
  const std::size_t most = most_fds(message.header.kind);
  if ((flags & MSG_CTRUNC) != 0 || fds.size() > most) {
    return protocol_error("descriptors were lost: more than " + std::to_string(most) +
                          " were sent, or this process has too many open files");
  }
  const std::size_t body = packet.size() - sizeof message.header;
  if (message.header.body_bytes != body || (flags & MSG_TRUNC) != 0) {
    return protocol_error("a body of " + std::to_string(message.header.body_bytes) +
                          " bytes was announced and " + std::to_string(body) + " arrived");
  }
  if (!is_kind(message.header.kind)) {
    return protocol_error("unknown message kind " +
                          std::to_string(static_cast<std::uint32_t>(message.header.kind)));
  }
  packet.erase(0, sizeof message.header);
  message.body = std::move(packet);
  message.fds = std::move(fds);
  Received received;
  received.message = std::move(message);
  return received;
}

bool peer_gone(int error_number) {
  return error_number == ECONNRESET || error_number == EPIPE;
}

// The size of the next packet, 0 when the peer closed, -1 with errno.
ssize_t next_packet_size(int socket) {
  char nothing = 0;
  return recv(socket, &nothing, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
}

Result<Received> receive_packet(int socket, std::size_t size) {
  std::string packet(std::min(size, sizeof(ControlHeader) + kMaxBody), '\0');
  iovec part{packet.data(), packet.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return base::system_error(Code::protocol, "receiving a control message", errno);
  std::vector<base::UniqueFd> fds = take_fds(message);
  packet.resize(static_cast<std::size_t>(count));
  return parse(std::move(packet), std::move(fds), message.msg_flags);
}

}  // namespace

int interrupt_signal() {
  return SIGRTMAX - 4;
}

Result<void> send_control(int socket, ControlHeader header, std::string_view body,
                          std::span<const int> fds) {
  if (body.size() > kMaxBody) body = body.substr(0, kMaxBody);
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  std::array<iovec, 2> parts{
      {{&header, sizeof header}, {const_cast<char*>(body.data()), body.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (fds.size() > most_fds(header.kind))
    return protocol_error("too many descriptors for one message");
  if (!fds.empty()) {
    message.msg_control = ancillary.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  const auto deadline = base::Deadline::in(kSendLimit);
  while (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    const int failure = errno;
    if (failure == EINTR) continue;
    if (failure != EAGAIN) {
      return base::system_error(Code::startup, "sending a control message", failure);
    }
    if (!wait_socket(socket, POLLOUT, deadline)) {
      return Error(Code::startup, "sending a control message: the peer has not read for 2 s");
    }
  }
  return {};
}

Result<Received> receive_control(int socket, bool wait) {
  while (true) {
    const ssize_t size = next_packet_size(socket);
    if (size > 0) return receive_packet(socket, static_cast<std::size_t>(size));
    const int failure = errno;
    if (size == 0 || peer_gone(failure)) {
      Received received;
      received.closed = true;
      return received;
    }
    if (failure == EINTR) continue;
    if (failure != EAGAIN) {
      return base::system_error(Code::protocol, "receiving a control message", failure);
    }
    if (!wait) return Received();
    wait_socket(socket, POLLIN, base::Deadline::never());
  }
}

}  // namespace pyhost::process
