// Claiming against a shrinking end: every item is either claimed or revoked.
#include <signal.h>
#include <sys/mman.h>

#include <fstream>
#include <functional>

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

// Calls a function in the middle of the worker's next claim: after its first look at the end, in
// the place of its first store. (The page stored to is made read-only, and the fault is ours.)
class InTheMomentOfAClaim {
 public:
  InTheMomentOfAClaim(const Pair& pair, std::function<void()> then) {
    page_ = worker_mapping(pair);
    then_ = std::move(then);
    struct sigaction action {};
    action.sa_handler = [](int) {
      mprotect(page_, kHeaderBytes, PROT_READ | PROT_WRITE);
      then_();
    };
    sigaction(SIGSEGV, &action, &before_);
    mprotect(page_, kHeaderBytes, PROT_READ);
  }
  InTheMomentOfAClaim(const InTheMomentOfAClaim&) = delete;
  InTheMomentOfAClaim& operator=(const InTheMomentOfAClaim&) = delete;
  ~InTheMomentOfAClaim() { sigaction(SIGSEGV, &before_, nullptr); }

 private:
  // Where the worker's end mapped its region; the other writable mapping is the pair's.
  static void* worker_mapping(const Pair& pair) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const auto start = std::stoull(line, nullptr, 16);
      const bool writable = line.find(" rw-s ") != std::string::npos;
      const bool replies = line.find("pyhost-replies") != std::string::npos;
      if (writable && replies && start != reinterpret_cast<std::uintptr_t>(pair.replies.data())) {
        return reinterpret_cast<void*>(start);
      }
    }
    throw std::runtime_error("no mapping of the worker's region");
  }

  inline static void* page_ = nullptr;
  inline static std::function<void()> then_;
  struct sigaction before_ {};
};

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

TEST(Shrinking, BetweenTheWorkersLookAndItsClaimRevokesTheItem) {
  Pair pair;
  Posted posted = pair.post("items", 0, 10);
  const Incoming call = *pair.worker.next();
  ASSERT_TRUE(pair.worker.claim(call, 0));
  std::uint32_t certain = 0;

  const InTheMomentOfAClaim moment(pair, [&] { certain = pair.host.shrink(posted, 1); });
  const bool claimed = pair.worker.claim(call, 1);

  EXPECT_EQ(certain, 1u) << "the host saw no claim of item 1 and gave it away";
  EXPECT_FALSE(claimed);
  EXPECT_TRUE(pair.host.replies_waiting()) << "the worker cannot know what the host saw";
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
