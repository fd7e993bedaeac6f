// A worker that writes what it likes: every field of the envelope and of the header has its lie.
#include <functional>

#include "host/wire/pair.h"

namespace pyhost::wire::test {
namespace {

// A well-formed reply of `hello`, changed by `lie`, as it stands in the ring.
std::string fault_of(const std::function<void(Envelope&)>& lie) {
  Pair pair;
  EXPECT_TRUE(pair.send(1, 0, "hello"));
  Envelope envelope;
  std::memcpy(&envelope, pair.reply_ring(), sizeof envelope);
  lie(envelope);
  std::memcpy(pair.reply_ring(), &envelope, sizeof envelope);

  const auto reply = pair.host.next_reply();
  EXPECT_FALSE(reply.ok()) << "believed";
  if (reply.ok()) return "";
  EXPECT_EQ(reply.error().code, Code::protocol);
  EXPECT_TRUE(reply.error().message.starts_with("reply from the worker rejected: "));
  return reply.error().message.substr(std::strlen("reply from the worker rejected: "));
}

// The same for a reply whose payload is in a block.
std::string block_fault_of(const std::function<void(Envelope&)>& lie) {
  return fault_of([&](Envelope& envelope) {
    envelope.flags |= kInBlock;
    envelope.size = sizeof envelope;
    envelope.block = 8192;
    lie(envelope);
  });
}

TEST(HostileEnvelope, WithASizeThatIsNoRecord) {
  for (const std::uint32_t size : {0u, 16u, 48u, 63u, 72u, 96u, 4096u, 0xfffffff0u}) {
    EXPECT_NE(fault_of([&](Envelope& e) { e.size = size; }).find("record size"), std::string::npos)
        << size;
  }
}

TEST(HostileEnvelope, WithAnUnknownKind) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.kind = static_cast<Kind>(99); }), "unknown kind 99");
  EXPECT_EQ(fault_of([](Envelope& e) { e.kind = Kind::call; }), "unknown kind 2");
}

TEST(HostileEnvelope, WithPaddingThatDoesNotEndTheRing) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.kind = Kind::pad; }),
            "padding of 80 bytes where the ring ends after 4096");
}

TEST(HostileEnvelope, WithAnUnknownCodec) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.codec = static_cast<Codec>(3); }), "unknown codec 3");
}

TEST(HostileEnvelope, WithUnknownFlags) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.flags = 8; }), "unknown flags 8");
}

TEST(HostileEnvelope, WithFlagsThatItsKindDoesNotHave) {
  EXPECT_EQ(fault_of([](Envelope& e) {
              e.kind = Kind::stopped;
              e.flags = kKeeps;
            }),
            "flags 4 on kind 18");
  EXPECT_EQ(block_fault_of([](Envelope& e) {
              e.kind = Kind::release;
              e.batch = 0;
            }),
            "flags 1 on kind 19");
}

TEST(HostileEnvelope, WithABatchWhereNoneBelongsOrNoneWhereOneDoes) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.batch = 0; }), "batch 0");
  EXPECT_EQ(fault_of([](Envelope& e) { e.kind = Kind::ready; }), "batch 1");
}

TEST(HostileEnvelope, WithAnItemWhereNoneBelongs) {
  EXPECT_EQ(fault_of([](Envelope& e) {
              e.kind = Kind::ready;
              e.batch = 0;
              e.first = 5;
            }),
            "item 5");
}

TEST(HostileEnvelope, WithFieldsThatRepliesDoNotUse) {
  const std::string fault = "a field that replies do not use is not zero";
  EXPECT_EQ(fault_of([](Envelope& e) {
              e.kind = Kind::stopped;
              e.function = 1;
            }),
            fault);
  EXPECT_EQ(fault_of([](Envelope& e) { e.interrupt = 1; }), fault);
  EXPECT_EQ(fault_of([](Envelope& e) { e.result_codec = Codec::json; }), fault);
  EXPECT_EQ(fault_of([](Envelope& e) { e.style = Style::call; }), fault);
  EXPECT_EQ(fault_of([](Envelope& e) { e.ran_ns = 1; }), fault);
}

TEST(HostileEnvelope, WithAnEndWhereNoneBelongs) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.end = 1; }), "end 1 on kind 17");
}

TEST(HostileEnvelope, WithResultsThatCannotBeAsMany) {
  const auto results_fault = [](std::uint32_t first, std::uint32_t end, Codec codec) {
    return fault_of([=](Envelope& e) {
      e.kind = Kind::results;
      e.first = first;
      e.end = end;
      e.codec = codec;
    });
  };
  EXPECT_EQ(results_fault(3, 3, Codec::json), "results of items 3 to 3");
  EXPECT_EQ(results_fault(3, 2, Codec::json), "results of items 3 to 2");
  EXPECT_EQ(results_fault(0, 3, Codec::json), "5 bytes for 3 results");
  EXPECT_EQ(results_fault(0, 1, Codec::i64), "5 bytes for 1 results");
  EXPECT_EQ(results_fault(0, ~std::uint32_t{0}, Codec::f64), "5 bytes for 4294967295 results");
  EXPECT_EQ(results_fault(0, 1, Codec::range), "unknown codec 5");
}

TEST(HostileEnvelope, WithAPayloadLongerThanItsRecord) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.payload_bytes = 17; }),
            "payload length 17 exceeds the 16 bytes of its record");
  EXPECT_EQ(fault_of([](Envelope& e) { e.payload_bytes = ~std::uint64_t{0}; }),
            "payload length 18446744073709551615 exceeds the 16 bytes of its record");
}

TEST(HostileEnvelope, WithARecordLongerThanItsPayload) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.payload_bytes = 0; }),
            "record size 80 does not match payload length 0");
}

TEST(HostileEnvelope, WithABlockItDoesNotUse) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.block = 8192; }),
            "block 8192 named by a record without one");
}

TEST(HostileEnvelope, WithABlockOutsideTheArena) {
  for (const std::uint64_t block : {std::uint64_t{0}, std::uint64_t{4096}, std::uint64_t{8193},
                                    std::uint64_t{1} << 20, ~std::uint64_t{63}}) {
    EXPECT_EQ(block_fault_of([&](Envelope& e) { e.block = block; }),
              "block " + std::to_string(block) + " is not in its arena");
  }
}

TEST(HostileEnvelope, WithAPayloadLongerThanItsBlock) {
  EXPECT_EQ(block_fault_of([](Envelope& e) {
              e.block = (1 << 20) - 4096;
              e.payload_bytes = 9000;
            }),
            "payload length 9000 exceeds block size 4096");
  EXPECT_EQ(block_fault_of([](Envelope& e) { e.payload_bytes = ~std::uint64_t{0} - 8191; }),
            "payload length 18446744073709543424 exceeds block size 1040384");
}

TEST(HostileEnvelope, WithAPayloadInMemoryTheWorkerDoesNotHold) {
  EXPECT_EQ(block_fault_of([](Envelope& e) { e.payload_bytes = 1'000'000; }),
            "payload length 1000000 exceeds block size 8192");
}

TEST(HostileEnvelope, WithABlockRecordThatHasMoreThanItsEnvelope) {
  EXPECT_EQ(block_fault_of([](Envelope& e) { e.size = 80; }),
            "record size 80 with a payload in a block; expected 64");
}

TEST(HostileEnvelope, WithAnUnknownStatus) {
  EXPECT_EQ(fault_of([](Envelope& e) { e.status = static_cast<Status>(4); }), "unknown status 4");
  EXPECT_EQ(fault_of([](Envelope& e) {
              e.kind = Kind::stopped;
              e.status = Status::raised;
            }),
            "unknown status 1");
}

TEST(HostileEnvelope, MayClaimAnyMomentAndItemForItsReaderToCheck) {
  Pair pair;
  Outgoing outgoing;
  outgoing.batch = 4'000'000'000u;
  outgoing.item = ~0u;
  outgoing.claimed_ns = ~std::uint64_t{0};

  ASSERT_TRUE(pair.worker.reply(outgoing, {}).value_or_throw());

  EXPECT_EQ(pair.take().item, ~0u);
}

std::string header_fault_of(const std::function<void(WorkerHeader&)>& lie) {
  Pair pair;
  EXPECT_TRUE(pair.send(1, 0, "hello"));
  lie(pair.worker_header());
  const auto reply = pair.host.next_reply();
  EXPECT_FALSE(reply.ok()) << "believed";
  if (reply.ok()) return "";
  EXPECT_EQ(reply.error().code, Code::protocol);
  return reply.error().message;
}

TEST(HostileHeader, WithAnotherMagicOrVersion) {
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.magic = 1; }),
            "reply from the worker rejected: its region starts with 1");
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.version = 3; }),
            "reply from the worker rejected: it speaks version 3 of the wire, the host 2");
}

TEST(HostileHeader, WithAHeadThatIsNotInTheRing) {
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.reply_head = 4096 + 16; }),
            "reply from the worker rejected: it claims 4112 unread bytes in a ring of 4096");
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.reply_head = 81; }),
            "reply from the worker rejected: it claims 81 unread bytes in a ring of 4096");
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.reply_head = 0xfffffff0u; }),
            "reply from the worker rejected: it claims 4294967280 unread bytes in a ring of 4096");
}

TEST(HostileHeader, WithAHeadInTheMiddleOfARecord) {
  EXPECT_EQ(header_fault_of([](WorkerHeader& h) { h.reply_head = 16; }),
            "reply from the worker rejected: record size 80 where at most 16 bytes are written");
}

TEST(HostileHeader, WithPaddingOfAWholeRing) {
  EXPECT_EQ(fault_of([](Envelope& e) {
              e.kind = Kind::pad;
              e.size = 4096;
            }),
            "padding of 4096 bytes where the ring ends after 4096");

  Pair pair;
  const std::uint64_t pad = 4096;
  std::memcpy(pair.reply_ring(), &pad, sizeof pad);
  pair.worker_header().reply_head = 4096;
  const auto reply = pair.host.next_reply();
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().message, "reply from the worker rejected: padding of a whole ring");
}

TEST(HostileHeader, ThatAlwaysSleepsCostsSystemCallsAndNothingElse) {
  Pair pair;

  for (const std::uint32_t sleeping : {1u, 2u, 0xffffffffu}) {
    pair.worker_header().sleeping = sleeping;
    const Posted posted = pair.post("call");
    pair.host.notify();
    ASSERT_TRUE(pair.send(posted.batch, 0, "reply"));
    EXPECT_EQ(pair.take().payload, "reply");
  }
}

TEST(HostileStopped, FloodsCannotHoldTheHost) {
  Pair pair;
  Outgoing stopped;
  stopped.kind = Kind::stopped;
  stopped.batch = 12;
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(pair.worker.reply(stopped, {}).value_or_throw());

  EXPECT_TRUE(pair.no_reply());
  EXPECT_FALSE(pair.host.replies_waiting());
}

}  // namespace
}  // namespace pyhost::wire::test
