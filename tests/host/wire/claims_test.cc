// Claiming against a shrinking end: every item is either claimed or revoked.
#include "host/wire/pair.h"

namespace pyhost::wire::test {
namespace {

// What a worker between its claim and its second look at the end has done.
void claim_and_pause(Pair& pair, const Posted& posted, std::uint32_t item) {
  pair.worker_header().claim.store(std::uint64_t{posted.batch} << 32 | (item + 1));
}

bool send_stopped(Pair& pair, std::uint32_t batch, std::uint32_t item) {
  Outgoing stopped;
  stopped.kind = Kind::stopped;
  stopped.batch = batch;
  stopped.item = item;
  return pair.worker.reply(stopped, {}).value_or_throw();
}

TEST(Claims, AreVisibleToTheHostWithTheirMoment) {
  Pair pair;
  const Posted posted = pair.post("items", 0, 3);
  const Incoming call = *pair.worker.next();
  EXPECT_EQ(pair.host.claim().batch, 0u);

  const std::uint64_t before = base::nanoseconds(base::now());
  ASSERT_TRUE(pair.worker.claim(call, 0));
  ASSERT_TRUE(pair.worker.claim(call, 1));

  const Claim claim = pair.host.claim();
  EXPECT_EQ(claim.batch, posted.batch);
  EXPECT_EQ(claim.items, 2u);
  EXPECT_GE(claim.claimed_ns, before);
  EXPECT_EQ(claim.claimed_ns, pair.worker.claimed_ns());
}

TEST(Claims, InTheFutureAreTakenAsNow) {
  Pair pair;
  pair.worker_header().claim_ns.store(~std::uint64_t{0});

  const std::uint64_t claimed_ns = pair.host.claim().claimed_ns;

  EXPECT_LE(claimed_ns, base::nanoseconds(base::now()));
}

TEST(Shrinking, RevokesWhatIsNotClaimedAtOnce) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  const Incoming call = *pair.worker.next();
  ASSERT_TRUE(pair.worker.claim(call, 0));

  EXPECT_EQ(pair.host.shrink(posted, 4), 4u);
  EXPECT_EQ(posted.end, 4u);

  for (std::uint32_t item = 1; item < 4; ++item) EXPECT_TRUE(pair.worker.claim(call, item));
  EXPECT_FALSE(pair.worker.claim(call, 4));
  EXPECT_EQ(pair.host.claim().items, 4u) << "a revoked item was claimed";
  EXPECT_TRUE(pair.no_reply());
}

TEST(Shrinking, KeepsWhatIsClaimedAndSaysSo) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  const Incoming call = *pair.worker.next();
  for (std::uint32_t item = 0; item < 6; ++item) ASSERT_TRUE(pair.worker.claim(call, item));

  EXPECT_EQ(pair.host.shrink(posted, 2), 6u);

  EXPECT_EQ(posted.end, 6u);
  EXPECT_FALSE(pair.worker.claim(call, 6));
}

TEST(Shrinking, OfAnItemInTheMomentOfItsClaimIsToldByTheWorker) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  claim_and_pause(pair, posted, 5);

  ASSERT_EQ(pair.host.shrink(posted, 0), 6u) << "item 5 is in doubt";
  ASSERT_TRUE(send_stopped(pair, posted.batch, 5));
  const Reply reply = pair.take();

  EXPECT_EQ(reply.kind, Kind::stopped);
  EXPECT_EQ(reply.batch, posted.batch);
  EXPECT_EQ(reply.item, 5u);
  EXPECT_EQ(pair.host.shrink(posted, 0), 5u) << "and is in doubt no longer";
}

TEST(Shrinking, HandsOutNoStoppedThatSettlesNothing) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  ASSERT_EQ(pair.host.shrink(posted, 3), 3u);

  ASSERT_TRUE(send_stopped(pair, posted.batch, 3));      // known already
  ASSERT_TRUE(send_stopped(pair, posted.batch + 7, 3));  // no such batch
  claim_and_pause(pair, posted, 1);
  ASSERT_EQ(pair.host.shrink(posted, 0), 2u);
  ASSERT_TRUE(send_stopped(pair, posted.batch, 1));
  ASSERT_TRUE(send_stopped(pair, posted.batch, 1));  // twice

  EXPECT_EQ(pair.take().item, 1u);
  EXPECT_TRUE(pair.no_reply());
}

TEST(Shrinking, OfABatchTheWorkerLeftBehindRevokesNothing) {
  Pair pair;
  Posted first = pair.post("items", 0, 10);
  pair.post("more", 0, 10);
  pair.worker.passed(*pair.worker.next());
  const Incoming second = *pair.worker.next();
  ASSERT_TRUE(pair.worker.claim(second, 0));

  EXPECT_EQ(pair.host.shrink(first, 0), 10u);
}

TEST(Shrinking, OfABatchNotBegunRevokesAllOfIt) {
  Pair pair;
  pair.post("items", 0, 10);
  Posted second = pair.post("more", 4, 10);
  const Incoming first = *pair.worker.next();
  ASSERT_TRUE(pair.worker.claim(first, 9));

  EXPECT_EQ(pair.host.shrink(second, 0), 4u);

  EXPECT_FALSE(pair.worker.claim(*pair.worker.next(), 4));
}

TEST(Shrinking, NeverRaisesAnEnd) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);

  ASSERT_EQ(pair.host.shrink(posted, 4), 4u);
  EXPECT_EQ(pair.host.shrink(posted, 8), 4u);

  EXPECT_FALSE(pair.worker.claim(*pair.worker.next(), 4));
}

TEST(Shrinking, BelievesNoClaimBeyondTheEnd) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  claim_and_pause(pair, posted, 4'000'000'000u);

  EXPECT_EQ(pair.host.shrink(posted, 3), 10u);
}

}  // namespace
}  // namespace pyhost::wire::test
