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

// Where a region is mapped with these rights, other than at `known`.
void* mapping(const std::string& rights, const std::string& name, const void* known) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto start = std::stoull(line, nullptr, 16);
    const bool wanted = line.find(rights) != std::string::npos;
    if (wanted && line.find(name) != std::string::npos &&
        start != reinterpret_cast<std::uintptr_t>(known)) {
      return reinterpret_cast<void*>(start);
    }
  }
  throw std::runtime_error("no mapping of " + name);
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
    return mapping(" rw-s ", "pyhost-replies", pair.replies.data());
  }

  inline static void* page_ = nullptr;
  inline static std::function<void()> then_;
  struct sigaction before_ {};
};

// Calls a function in the middle of the host's next `shrink`, between its store of the lower end
// and its look at the claim. (Three faults lead there: the first look, the store, the second look.)
class BetweenTheStoreAndTheLook {
 public:
  BetweenTheStoreAndTheLook(const Pair& pair, std::function<void()> then) {
    claims_ = mapping(" r--s ", "pyhost-replies", nullptr);
    ring_ = static_cast<std::byte*>(mapping(" rw-s ", "pyhost-calls", nullptr)) + kHeaderBytes;
    ring_bytes_ = pair.sizes.ring_bytes;
    then_ = std::move(then);
    faults_ = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { step(); };
    action.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &action, &before_);
    mprotect(claims_, kHeaderBytes, PROT_NONE);
  }
  BetweenTheStoreAndTheLook(const BetweenTheStoreAndTheLook&) = delete;
  BetweenTheStoreAndTheLook& operator=(const BetweenTheStoreAndTheLook&) = delete;
  ~BetweenTheStoreAndTheLook() { sigaction(SIGSEGV, &before_, nullptr); }

 private:
  static void step() {
    switch (faults_++) {
      case 0:
        mprotect(claims_, kHeaderBytes, PROT_READ);
        mprotect(ring_, ring_bytes_, PROT_READ);
        break;
      case 1:
        mprotect(ring_, ring_bytes_, PROT_READ | PROT_WRITE);
        mprotect(claims_, kHeaderBytes, PROT_NONE);
        break;
      case 2:
        mprotect(claims_, kHeaderBytes, PROT_READ);
        then_();
        break;
      default:
        std::abort();
    }
  }

  inline static void* claims_ = nullptr;
  inline static std::byte* ring_ = nullptr;
  inline static std::size_t ring_bytes_ = 0;
  inline static int faults_ = 0;
  inline static std::function<void()> then_;
  struct sigaction before_ {};
};

// A worker that went on to the next batch because it met the lower end has not run the rest.
TEST(Claims, TellAWorkerThatMetTheLowerEndFromOneThatWasThrough) {
  for (const bool replies_are_taken : {true, false}) {
    Pair pair;
    Posted first = pair.post("", 0, 20);
    pair.post("", 0, 1);
    const auto call = pair.worker.next();
    for (std::uint32_t item = 0; item < 4; ++item) {
      ASSERT_TRUE(pair.worker.claim(*call, item));
      ASSERT_TRUE(pair.send(first.batch, item, "1"));
    }
    while (replies_are_taken && pair.host.next_reply().value_or_throw()) {
    }
    std::uint32_t certain = 0;
    {
      const BetweenTheStoreAndTheLook moment(pair, [&] {
        EXPECT_FALSE(pair.worker.claim(*call, 4));
        pair.worker.passed(*call);
        EXPECT_TRUE(pair.worker.claim(*pair.worker.next(), 0));
      });
      certain = pair.host.shrink(first, 4);
    }
    EXPECT_EQ(certain, 4u);
  }
}

// The same when it ran some more before it met the end.
TEST(Claims, CountWhatRanBetweenTheTwoLooks) {
  Pair pair;
  Posted first = pair.post("", 0, 20);
  pair.post("", 0, 1);
  const auto call = pair.worker.next();
  ASSERT_TRUE(pair.worker.claim(*call, 0));
  std::uint32_t certain = 0;
  {
    const BetweenTheStoreAndTheLook moment(pair, [&] {
      EXPECT_TRUE(pair.send(first.batch, 0, "1"));
      for (std::uint32_t item = 1; item < 3; ++item) {
        EXPECT_TRUE(pair.worker.claim(*call, item));
        EXPECT_TRUE(pair.send(first.batch, item, "1"));
      }
      EXPECT_FALSE(pair.worker.claim(*call, 3));
      pair.worker.passed(*call);
      EXPECT_TRUE(pair.worker.claim(*pair.worker.next(), 0));
    });
    certain = pair.host.shrink(first, 3);
  }
  EXPECT_EQ(certain, 3u);
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
