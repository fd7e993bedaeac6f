// control_fuzz.cc: packets of any content and with any number of descriptors on a control socket.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <process/control.h>

#include <array>

#include "input.h"

namespace {

using pyhost::base::UniqueFd;
using namespace pyhost::process;

constexpr int kMostDescriptors = 12;  // some more than any message carries

void send_packet(int socket, std::string_view bytes, int descriptors) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptors > 0) {
    message.msg_control = ancillary.data();
    message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    for (int i = 0; i < descriptors; ++i) {
      std::memcpy(CMSG_DATA(rights) + static_cast<std::size_t>(i) * sizeof(int), &socket,
                  sizeof socket);
    }
  }
  (void)sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The number the next descriptor gets: the same before and after, if none leaked.
int next_descriptor() {
  return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)).get();
}

void exchange(pyhost::fuzz::Input& input) {
  int ends[2];
  PYHOST_MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  for (int i = 0; i < 8 && !input.done(); ++i) {
    const int descriptors = input.take<std::uint8_t>() % (kMostDescriptors + 1);
    send_packet(theirs.get(), input.bytes(input.take<std::uint8_t>()), descriptors);
  }
  theirs.reset();
  for (;;) {
    const auto received = receive_control(ours.get(), false);
    if (!received.ok()) {
      PYHOST_MUST(received.error().code == pyhost::Code::protocol);
      continue;
    }
    if (received->closed) return;
    PYHOST_MUST(received->message.has_value());
    PYHOST_MUST(received->message->body.size() == received->message->header.body_bytes);
    PYHOST_MUST(received->message->fds.size() <= kMostInherited);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pyhost::fuzz::Input input(data, size);
  const int before = next_descriptor();
  exchange(input);
  PYHOST_MUST(next_descriptor() == before);
  return 0;
}
