// control_test.cc: the control socket carries whole messages and refuses everything else.
#include <base/system.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <process/control.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace pyhost::process {
namespace {

class Control : public testing::Test {
 protected:
  void SetUp() override {
    auto pair = base::socket_pair();
    ASSERT_TRUE(pair) << pair.error().message;
    sockets_ = *std::move(pair);
  }
  int ours() const { return sockets_.ours.get(); }
  int theirs() const { return sockets_.theirs.get(); }
  void send_raw(const void* bytes, std::size_t size) {
    ASSERT_EQ(send(theirs(), bytes, size, 0), static_cast<ssize_t>(size));
  }

  base::SocketPair sockets_;
};

int lowest_free_descriptor() {
  const base::UniqueFd probe(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return probe.get();
}

TEST_F(Control, CarriesHeaderBodyAndDescriptorsInOrder) {
  auto pipe = base::pipe();
  ASSERT_TRUE(pipe);
  const std::array<int, 2> fds = {pipe->writer.get(), pipe->reader.get()};
  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::fork, .worker = 7, .pid = 8, .status = 9},
                           "a body", fds));

  auto received = receive_control(theirs(), true);

  ASSERT_TRUE(received) << received.error().message;
  ASSERT_TRUE(received->message);
  const ControlMessage& message = *received->message;
  EXPECT_EQ(message.header.kind, ControlKind::fork);
  EXPECT_EQ(message.header.worker, 7);
  EXPECT_EQ(message.header.pid, 8);
  EXPECT_EQ(message.header.status, 9);
  EXPECT_EQ(message.body, "a body");
  ASSERT_EQ(message.fds.size(), 2u);
  ASSERT_EQ(write(message.fds[0].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(message.fds[1].get(), &byte, 1), 1);
  EXPECT_NE(fcntl(message.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Control, KeepsMessagesApart) {
  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::load}, "first"));
  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::stop}));

  auto first = receive_control(theirs(), true);
  auto second = receive_control(theirs(), true);

  ASSERT_TRUE(first && first->message && second && second->message);
  EXPECT_EQ(first->message->body, "first");
  EXPECT_EQ(second->message->header.kind, ControlKind::stop);
  EXPECT_EQ(second->message->body, "");
}

TEST_F(Control, SaysThatNothingIsThereWithoutWaiting) {
  auto received = receive_control(theirs(), false);

  ASSERT_TRUE(received);
  EXPECT_FALSE(received->message);
  EXPECT_FALSE(received->closed);
}

TEST_F(Control, SaysThatThePeerClosedAfterItsLastMessage) {
  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::stop}));
  sockets_.ours.reset();

  auto last = receive_control(theirs(), true);
  auto end = receive_control(theirs(), true);

  ASSERT_TRUE(last && last->message);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->closed);
}

TEST_F(Control, SaysThatAPeerClosedWhichLeftMessagesUnread) {
  ASSERT_TRUE(send_control(theirs(), {.kind = ControlKind::ready}));
  sockets_.ours.reset();

  auto end = receive_control(theirs(), true);

  ASSERT_TRUE(end) << end.error().message;
  EXPECT_TRUE(end->closed);
}

TEST_F(Control, ReportsAClosedPeerWhenSending) {
  sockets_.theirs.reset();

  auto sent = send_control(ours(), {.kind = ControlKind::stop});

  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::startup);
  EXPECT_NE(sent.error().message.find("EPIPE"), std::string::npos) << sent.error().message;
}

TEST_F(Control, GivesUpOnAPeerThatNeverReads) {
  Result<void> sent;
  const std::string body(kMaxBody, 'x');

  for (int i = 0; i < 100 && sent.ok(); ++i) {
    sent = send_control(ours(), {.kind = ControlKind::load}, body);
  }

  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::startup);
}

TEST_F(Control, WaitsForAPeerThatReadsLate) {
  const std::string body(kMaxBody, 'x');
  constexpr int kMessages = 20;
  std::thread reader([&] {
    for (int i = 0; i < kMessages; ++i) {
      auto received = receive_control(theirs(), true);
      ASSERT_TRUE(received && received->message);
      ASSERT_EQ(received->message->body.size(), kMaxBody);
    }
  });

  for (int i = 0; i < kMessages; ++i) {
    EXPECT_TRUE(send_control(ours(), {.kind = ControlKind::load}, body));
  }

  reader.join();
}

TEST_F(Control, CutsABodyThatIsTooLong) {
  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::failed}, std::string(kMaxBody + 5, 'x')));

  auto received = receive_control(theirs(), true);

  ASSERT_TRUE(received && received->message);
  EXPECT_EQ(received->message->body.size(), kMaxBody);
}

TEST_F(Control, RefusesAPacketShorterThanItsHeader) {
  send_raw("garbage", 7);

  auto received = receive_control(ours(), true);

  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, Code::protocol);
}

TEST_F(Control, RefusesAnUnknownKind) {
  const ControlHeader header{.kind = static_cast<ControlKind>(99)};
  send_raw(&header, sizeof header);

  auto received = receive_control(ours(), true);

  ASSERT_FALSE(received);
  EXPECT_NE(received.error().message.find("kind 99"), std::string::npos);
}

TEST_F(Control, RefusesALengthThatLies) {
  for (const std::uint32_t announced : {0u, 4u, 6u, 0xffffffffu}) {
    const ControlHeader header{.kind = ControlKind::ready, .body_bytes = announced};
    std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
    packet += "12345";
    send_raw(packet.data(), packet.size());

    auto received = receive_control(ours(), true);

    ASSERT_FALSE(received) << announced;
    EXPECT_EQ(received.error().code, Code::protocol);
  }
}

TEST_F(Control, RefusesAPacketLongerThanAnyMessage) {
  const int large = 1 << 20;
  ASSERT_EQ(setsockopt(theirs(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large), 0);
  std::string packet(sizeof(ControlHeader) + kMaxBody + 1, '\0');
  const ControlHeader header{.kind = ControlKind::ready,
                             .body_bytes = static_cast<std::uint32_t>(kMaxBody)};
  memcpy(packet.data(), &header, sizeof header);
  send_raw(packet.data(), packet.size());

  auto received = receive_control(ours(), true);

  EXPECT_FALSE(received);
  EXPECT_FALSE(receive_control(ours(), false)->message) << "nothing of it is left in the socket";
}

TEST_F(Control, GoesOnAfterARefusedPacket) {
  send_raw("garbage", 7);
  ASSERT_FALSE(receive_control(ours(), true));
  ASSERT_TRUE(send_control(theirs(), {.kind = ControlKind::exited, .worker = 3}));

  auto received = receive_control(ours(), true);

  ASSERT_TRUE(received && received->message);
  EXPECT_EQ(received->message->header.worker, 3);
}

TEST_F(Control, ClosesDescriptorsThatCameInExcess) {
  const int before = lowest_free_descriptor();
  const ControlHeader header{.kind = ControlKind::forked};
  std::array<int, 16> fds;
  fds.fill(STDERR_FILENO);
  iovec part{const_cast<ControlHeader*>(&header), sizeof header};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> ancillary{};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  packet.msg_control = ancillary.data();
  packet.msg_controllen = ancillary.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&packet);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(rights), fds.data(), sizeof fds);
  ASSERT_GT(sendmsg(theirs(), &packet, 0), 0);

  auto received = receive_control(ours(), true);

  EXPECT_FALSE(received);
  EXPECT_EQ(lowest_free_descriptor(), before);
}

TEST_F(Control, OneMessageCarriesAsManyInheritedDescriptorsAsTheKernelAllows) {
  std::array<int, kMostInherited> fds;
  fds.fill(STDERR_FILENO);

  ASSERT_TRUE(send_control(ours(), {.kind = ControlKind::inherit}, "", fds));
  auto received = receive_control(theirs(), true);

  ASSERT_TRUE(received);
  EXPECT_EQ(received->message->fds.size(), kMostInherited);
}

TEST_F(Control, RefusesToSendMoreDescriptorsThanAMessageCarries) {
  std::array<int, kForkFds + 1> fds;
  fds.fill(STDERR_FILENO);

  EXPECT_FALSE(send_control(ours(), {.kind = ControlKind::fork}, "", fds));
}

}  // namespace
}  // namespace pyhost::process
