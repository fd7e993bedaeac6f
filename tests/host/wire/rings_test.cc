// Posting, taking and replying: what goes in comes out, in order, whatever the ring looks like.
#include <wire/spin.h>

#include "host/wire/pair.h"

namespace pyhost::wire::test {
namespace {

TEST(CallRing, CarriesACallWithEveryFieldTheWorkerNeeds) {
  Pair pair;
  Call call;
  call.function = 7;
  call.codec = Codec::pickle;
  call.style = Style::kwargs;
  call.first = 2;
  call.end = 5;
  call.payload = bytes_of("hello");

  const Posted posted = *pair.host.post(call).value_or_throw();
  const Incoming incoming = *pair.worker.next();

  EXPECT_EQ(incoming.envelope.kind, Kind::call);
  EXPECT_EQ(incoming.envelope.codec, Codec::pickle);
  EXPECT_EQ(incoming.envelope.style, Style::kwargs);
  EXPECT_EQ(incoming.envelope.batch, posted.batch);
  EXPECT_EQ(incoming.envelope.function, 7u);
  EXPECT_EQ(incoming.envelope.first, 2u);
  EXPECT_EQ(incoming.envelope.end, 5u);
  EXPECT_EQ(text_of(incoming.payload), "hello");
  EXPECT_FALSE(pair.worker.next().has_value());
}

TEST(CallRing, CarriesDefinitionsAndTheOrderToRetire) {
  Pair pair;

  ASSERT_TRUE(pair.host.define(3, Codec::json, bytes_of("maths.square")).value_or_throw());
  ASSERT_TRUE(pair.host.post_retire());

  const Incoming definition = *pair.worker.next();
  EXPECT_EQ(definition.envelope.kind, Kind::define);
  EXPECT_EQ(definition.envelope.function, 3u);
  EXPECT_EQ(text_of(definition.payload), "maths.square");
  EXPECT_EQ(pair.worker.next()->envelope.kind, Kind::retire);
}

TEST(CallRing, KeepsItsOrderOverManyLapsAndEverySizeOfPadding) {
  Pair pair;

  for (std::size_t i = 0; i < 5000; ++i) {
    const std::string payload(i * 37 % 1025, static_cast<char>('a' + i % 26));
    const Posted posted = pair.post(payload);
    const Incoming incoming = *pair.worker.next();
    ASSERT_EQ(incoming.envelope.batch, posted.batch);
    ASSERT_EQ(text_of(incoming.payload), payload);
    pair.worker.passed(incoming);
    pair.host.finish(posted);
  }
}

TEST(CallRing, HasNoRoomUntilTheBatchIsFinishedAndTheWorkerPassedIt) {
  Pair pair;
  const std::string quarter(1000, 'x');
  std::vector<Posted> posted;
  for (int i = 0; i < 3; ++i) posted.push_back(pair.post(quarter));
  ASSERT_FALSE(pair.fits(quarter));

  const Incoming incoming = *pair.worker.next();
  pair.host.finish(posted[0]);
  EXPECT_FALSE(pair.fits(quarter)) << "the worker may still read it";
  pair.worker.passed(incoming);
  pair.worker.passed(*pair.worker.next());

  EXPECT_TRUE(pair.fits(quarter));
  EXPECT_FALSE(pair.fits(quarter)) << "the host may still have to post it elsewhere";
}

TEST(CallRing, TakesBatchesThatFinishOutOfOrder) {
  Pair pair;
  const std::string quarter(1000, 'x');
  std::vector<Posted> posted;
  for (int i = 0; i < 3; ++i) {
    posted.push_back(pair.post(quarter));
    pair.worker.passed(*pair.worker.next());
  }

  pair.host.finish(posted[2]);
  pair.host.finish(posted[1]);
  EXPECT_FALSE(pair.fits(quarter));
  pair.host.finish(posted[0]);

  EXPECT_TRUE(pair.fits(quarter));
  EXPECT_TRUE(pair.fits(quarter));
}

TEST(CallRing, RingsTheBellWhenAHostShortOfRoomCanGoOn) {
  Pair pair;
  const std::string quarter(1000, 'x');
  std::vector<Posted> posted;
  for (int i = 0; i < 3; ++i) posted.push_back(pair.post(quarter));
  for (const Posted& one : posted) pair.host.finish(one);
  ASSERT_FALSE(pair.fits(quarter));
  ASSERT_EQ(pair.rings(), 0u);

  pair.worker.passed(*pair.worker.next());

  EXPECT_EQ(pair.rings(), 1u);
  EXPECT_TRUE(pair.fits(quarter));
  pair.worker.passed(*pair.worker.next());
  EXPECT_EQ(pair.rings(), 0u) << "nobody waits for room any more";
}

TEST(CallRing, RingsTheBellWhenAHostShortOfArenaCanGoOn) {
  Pair pair;
  const std::string most_of_it(700'000, 'x');
  pair.host.finish(pair.post(most_of_it));
  const std::optional<Incoming> incoming = pair.worker.next();
  const bool fits_before = pair.fits(most_of_it);
  ASSERT_EQ(pair.rings(), 0u);

  pair.worker.passed(*incoming);

  EXPECT_FALSE(fits_before);
  EXPECT_EQ(pair.rings(), 1u);
  EXPECT_TRUE(pair.fits(most_of_it));
}

TEST(CallRing, BelievesNoTailOutsideItsOwnRecords) {
  Pair pair;
  const std::string quarter(1000, 'x');
  std::vector<Posted> posted;
  for (int i = 0; i < 3; ++i) posted.push_back(pair.post(quarter));
  for (const Posted& one : posted) pair.host.finish(one);

  for (const std::uint32_t lie : {4096u, 0x80000000u, 0xfffffff0u}) {
    pair.worker_header().call_tail.store(lie);
    EXPECT_FALSE(pair.fits(quarter)) << lie;
  }
}

TEST(CallRing, GivesThePayloadOfAnUnfinishedBatchBack) {
  Pair pair;
  const std::string lengthy(5000, 'y');

  const Posted in_ring = pair.post("short");
  const Posted in_block = pair.post(lengthy);

  EXPECT_EQ(text_of(pair.host.payload(in_ring)), "short");
  EXPECT_EQ(text_of(pair.host.payload(in_block)), lengthy);
}

TEST(Blocks, CarryPayloadsTooLongForTheRingBothWays) {
  Pair pair;
  const std::string there(200'000, 't');
  const std::string back(300'000, 'b');

  const Posted posted = pair.post(there);
  const Incoming incoming = *pair.worker.next();
  EXPECT_EQ(text_of(incoming.payload), there);
  ASSERT_TRUE(pair.send(posted.batch, 0, back));

  EXPECT_EQ(pair.take().payload, back);
}

TEST(Blocks, OfCallsAreFreeOnceFinishedAndPassed) {
  Pair pair;
  const std::string most(900'000, 't');
  const Posted posted = pair.post(most);
  ASSERT_FALSE(pair.fits(most));

  pair.host.finish(posted);
  EXPECT_FALSE(pair.fits(most));
  pair.worker.passed(*pair.worker.next());

  EXPECT_TRUE(pair.fits(most));
}

TEST(Blocks, OfDefinitionsAreFreeOnceTheWorkerPassedThem) {
  Pair pair;
  const std::string most(900'000, 'd');
  ASSERT_TRUE(pair.host.define(1, Codec::pickle, bytes_of(most)).value_or_throw());
  ASSERT_FALSE(pair.fits(most));

  pair.worker.passed(*pair.worker.next());

  EXPECT_TRUE(pair.fits(most));
}

TEST(Blocks, KeptByAReplyStayUntilTheyAreReleased) {
  Pair pair;
  const std::string most(900'000, 't');
  const Posted posted = pair.post(most);
  pair.worker.passed(*pair.worker.next());
  pair.host.finish(posted, true);
  ASSERT_FALSE(pair.fits(most));

  pair.host.release_block(posted.block + 64);  // a lie
  EXPECT_FALSE(pair.fits(most));
  pair.host.release_block(posted.block);

  EXPECT_TRUE(pair.fits(most));
}

TEST(Blocks, ReleasedBeforeTheirBatchFinishedAreNotKept) {
  Pair pair;
  const std::string most(900'000, 't');
  const Posted posted = pair.post(most);
  pair.worker.passed(*pair.worker.next());

  pair.host.release_block(posted.block);
  pair.host.finish(posted, true);

  EXPECT_TRUE(pair.fits(most));
}

TEST(Blocks, ThatCanNeverFitAreAnErrorWithBothSizes) {
  Pair pair;
  const std::string too_long(2 << 20, 'x');
  Call call;
  call.payload = bytes_of(too_long);

  const auto posted = pair.host.post(call);
  ASSERT_FALSE(posted.ok());
  EXPECT_EQ(posted.error().code, Code::backpressure);
  EXPECT_NE(posted.error().message.find("2097152"), std::string::npos) << posted.error().message;
  const Bytes part = bytes_of(too_long);
  const auto replied = pair.worker.reply(Outgoing{}, {&part, 1});
  ASSERT_FALSE(replied.ok());
  EXPECT_EQ(replied.error().code, Code::backpressure);

  EXPECT_TRUE(pair.fits("a short one still does"));
}

TEST(Blocks, GiveTheirMemoryBackWhenTrimmed) {
  Pair pair;
  const Posted posted = pair.post(std::string(500'000, 't'));
  pair.worker.passed(*pair.worker.next());
  pair.host.finish(posted);
  ASSERT_GT(pair.host.committed_bytes(), 500'000u);

  pair.host.trim(0);

  EXPECT_EQ(pair.host.committed_bytes(), 0u);
}

TEST(ReplyRing, CarriesEveryFieldTheHostNeeds) {
  Pair pair;
  Outgoing outgoing;
  outgoing.codec = Codec::pickle;
  outgoing.status = Status::raised;
  outgoing.flags = kPrinted | kKeeps;
  outgoing.batch = 9;
  outgoing.item = 4;
  outgoing.peak_kib = 5;
  outgoing.claimed_ns = 123456789;
  const Bytes parts[] = {bytes_of("one "), bytes_of(""), bytes_of("two")};

  ASSERT_TRUE(pair.worker.reply(outgoing, parts).value_or_throw());
  const Reply reply = pair.take();

  EXPECT_EQ(reply.kind, Kind::reply);
  EXPECT_EQ(reply.codec, Codec::pickle);
  EXPECT_EQ(reply.status, Status::raised);
  EXPECT_TRUE(reply.printed);
  EXPECT_TRUE(reply.keeps);
  EXPECT_EQ(reply.batch, 9u);
  EXPECT_EQ(reply.item, 4u);
  EXPECT_EQ(reply.peak_bytes, 5u << 10);
  EXPECT_EQ(reply.claimed_ns, 123456789u);
  EXPECT_EQ(reply.payload, "one two");
  EXPECT_TRUE(pair.no_reply());
}

TEST(ReplyRing, KeepsItsOrderOverManyLapsAndEverySizeOfPadding) {
  Pair pair;

  for (std::uint32_t i = 0; i < 5000; ++i) {
    const std::string payload(i * 53 % 3000, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(pair.send(1, i, payload));
    const Reply reply = pair.take();
    ASSERT_EQ(reply.item, i);
    ASSERT_EQ(reply.payload, payload);
  }
}

TEST(ReplyRing, SaysSoWhenItIsFullAndTakesMoreAfterwards) {
  Pair pair;
  const std::string quarter(1000, 'x');
  std::uint32_t sent = 0;
  while (pair.send(1, sent, quarter)) ++sent;
  ASSERT_EQ(sent, 3u);

  pair.take();

  EXPECT_TRUE(pair.send(1, sent, quarter));
  for (std::uint32_t i = 1; i <= sent; ++i) EXPECT_EQ(pair.take().item, i);
}

TEST(ReplyRing, SaysSoWhenItsArenaIsFullAndTakesMoreAfterwards) {
  Pair pair;
  const std::string half(400'000, 'x');
  ASSERT_TRUE(pair.send(1, 0, half));
  ASSERT_TRUE(pair.send(1, 1, half));
  ASSERT_FALSE(pair.send(1, 2, half));

  pair.take();

  EXPECT_TRUE(pair.send(1, 2, half));
}

TEST(ReplyRing, AnnouncesAReplyOnceUntilTheHostTookIt) {
  Pair pair;
  ASSERT_TRUE(pair.send(1, 0, "nobody asked"));
  EXPECT_EQ(pair.rings(), 0u);
  pair.take();

  pair.host.set_wants(kRingBell);
  ASSERT_TRUE(pair.send(1, 1, "first"));
  ASSERT_TRUE(pair.send(1, 2, "the host is on its way already"));
  EXPECT_EQ(pair.rings(), 1u);
  pair.take();
  pair.take();
  ASSERT_TRUE(pair.send(1, 3, "news again"));

  EXPECT_EQ(pair.rings(), 1u);
}

TEST(ReplyRing, AnnouncesAgainWhenSomebodyElseWantsToKnow) {
  Pair pair;
  pair.host.set_wants(kWakeFutex);
  ASSERT_TRUE(pair.send(1, 0, "to a sleeper"));

  pair.host.set_wants(kRingBell);
  ASSERT_TRUE(pair.send(1, 1, "to the bell"));

  EXPECT_EQ(pair.rings(), 1u);
}

TEST(Positions, MayWrapAround) {
  Sizes sizes;
  sizes.ring_bytes = 1 << 22;
  sizes.region_bytes = 1 << 26;
  Pair pair(sizes);
  const std::string most(1 << 20, 'x');

  // Each lap puts more than 1 MiB into both rings: 2^32 bytes after fewer than 4096.
  for (std::uint32_t i = 0; i < 4100; ++i) {
    Posted posted = pair.post(most, 0, 2);
    const Incoming incoming = *pair.worker.next();
    ASSERT_TRUE(pair.worker.claim(incoming, 0));
    ASSERT_EQ(pair.host.shrink(posted, 0), 1u);
    pair.worker.passed(incoming);
    ASSERT_TRUE(pair.send(posted.batch, 0, most));
    ASSERT_EQ(pair.take().payload.size(), most.size());
    pair.host.finish(posted);
  }
}

TEST(Creation, RefusesSizesThatCannotWork) {
  for (const Sizes& sizes : {Sizes{1000, 1 << 20}, Sizes{256, 1 << 20}, Sizes{4096, 8192},
                             Sizes{4096, (1 << 20) + 1}, Sizes{0, 1 << 20}}) {
    const auto host = HostEnd::create(sizes);
    ASSERT_FALSE(host.ok()) << sizes.ring_bytes << " " << sizes.region_bytes;
    EXPECT_EQ(host.error().code, Code::startup);
  }
}

TEST(Attachment, RefusesRegionsThatAreNoWire) {
  auto host = HostEnd::create(small_sizes()).value_or_throw();
  auto blank = base::create_memory("blank", 1 << 20).value_or_throw();
  auto shorter = base::create_memory("shorter", 1 << 16).value_or_throw();

  const auto no_header = WorkerEnd::attach(
      std::move(blank), host.share_worker_region().value_or_throw(), base::UniqueFd());
  const auto no_match = WorkerEnd::attach(host.share_host_region().value_or_throw(),
                                          std::move(shorter), base::UniqueFd());

  ASSERT_FALSE(no_header.ok());
  EXPECT_EQ(no_header.error().code, Code::protocol);
  ASSERT_FALSE(no_match.ok());
  EXPECT_EQ(no_match.error().code, Code::protocol);
}

TEST(Regions, OfTheHostCannotBeWrittenByTheWorker) {
  Pair pair;
  const auto fd = pair.host.share_host_region().value_or_throw();

  EXPECT_FALSE(
      base::Mapping::map(fd.get(), pair.sizes.region_bytes, base::Access::read_write).ok());
}

TEST(SpinTest, ReturnsTheLastAnswerOfItsCondition) {
  Spin spin;
  int looks = 0;

  EXPECT_TRUE(spin.until([&] { return ++looks == 3; }));
  EXPECT_FALSE(spin.until([] { return false; }));
}

}  // namespace
}  // namespace pyhost::wire::test
