// peer_test.cc: a peer process killed at random points, thousands of times: nothing is lost,
// nothing runs twice, nothing leaks.
//
// PYHOST_TEST_SEED and PYHOST_TEST_KILLS repeat or lengthen a run.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include <base/futex.h>
#include <base/system.h>

#include "host/wire/books.h"

namespace pyhost::wire::test {
namespace {

// Longer than any honest wait on a busy machine; reaching it means a wake-up was lost.
constexpr int kLostWakeUpMs = 20'000;

std::uint32_t from_environment(const char* name, std::uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

std::size_t open_descriptors() {
  namespace fs = std::filesystem;
  const auto all = fs::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(fs::begin(all), fs::end(all)));
}

Sizes stress_sizes() {
  Sizes sizes;
  sizes.ring_bytes = 4096;
  sizes.region_bytes = 4 << 20;
  return sizes;
}

enum class Death : std::uint8_t { at_a_moment, after_replies, of_its_own, none };

// One worker process, reaped when dropped.
class Peer {
 public:
  Peer(HostEnd& host, const base::UniqueFd& bell, Ledger& ledger, std::uint32_t lives_us) {
    base::UniqueFd calls = host.share_host_region().value_or_throw();
    base::UniqueFd replies = host.share_worker_region().value_or_throw();
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(3);
      auto end =
          WorkerEnd::attach(std::move(calls), std::move(replies), base::UniqueFd(dup(bell.get())));
      if (!end.ok()) _exit(4);
      // SIGALRM ends the process wherever it happens to be, copying and storing included.
      const itimerval alarm{{0, 0}, {0, static_cast<suseconds_t>(lives_us)}};
      if (lives_us != 0) setitimer(ITIMER_REAL, &alarm, nullptr);
      peer_loop(*end, ledger);
      _exit(0);
    }
    pidfd_ = base::open_pidfd(pid_).value_or_throw();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    kill();
    waitpid(pid_, nullptr, 0);
  }

  void kill() const { base::send_signal(pidfd_.get(), SIGKILL); }
  int pidfd() const { return pidfd_.get(); }
  bool dead() const { return base::wait_exit(pidfd_.get(), base::Deadline::in({})); }

 private:
  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
};

class Storm {
 public:
  Storm(Books& books, Ledger& ledger, std::mt19937& random)
      : books_(books), ledger_(ledger), random_(random), bell_(eventfd(0, EFD_NONBLOCK)) {}

  // One life of a worker. Returns whether it was killed.
  bool live() {
    HostEnd host = HostEnd::create(stress_sizes()).value_or_throw();
    Life life(host, books_, random_);
    const auto death = static_cast<Death>(life.pick(0, 19) == 0 ? 3 : life.pick(0, 2));
    const std::uint32_t lives_us = death == Death::at_a_moment ? life.pick(1, 700) : 0;
    const std::uint64_t most_replies =
        death == Death::none ? life.pick(0, 300)
                             : life.pick(0, death == Death::after_replies ? 60 : 5000);
    Peer peer(host, bell_, ledger_, lives_us);
    while (!peer.dead() && !testing::Test::HasFatalFailure()) {
      if (life.replies() >= most_replies) break;
      const bool no_room = act(host, life, death == Death::of_its_own);
      const bool news_due = life.batches() != 0 || no_room;
      if (news_due && !sleep_until_news(host, life, peer)) return false;
      life.drain();
    }
    if (death == Death::none) return retire(host, life, peer), false;
    peer.kill();
    EXPECT_TRUE(base::wait_exit(peer.pidfd(), base::Deadline::in(std::chrono::seconds(20))));
    life.drain();
    const std::string before = life.described();
    life.bury();
    if (testing::Test::HasFatalFailure()) ADD_FAILURE() << before;
    return true;
  }

 private:
  // Returns whether a post found no room.
  bool act(HostEnd& host, Life& life, bool deadly) {
    bool no_room = false;
    const std::uint32_t posts = life.pick(0, 3);
    for (std::uint32_t i = 0; i < posts || life.batches() == 0; ++i) {
      books_.fill(50);
      no_room = !life.post(20, deadly);
      if (no_room) break;
    }
    host.notify();
    for (std::uint32_t i = life.pick(0, 3); i > 0; --i) life.shrink_one();
    if (life.pick(0, 19) == 0) host.trim(life.pick(0, 1) * 65536);
    return no_room;
  }

  // False when neither a reply nor a death came: somebody sleeps through the news.
  bool sleep_until_news(HostEnd& host, const Life& life, const Peer& peer) {
    host.set_wants(kRingBell);
    if (!host.replies_waiting()) {
      pollfd entries[] = {{bell_.get(), POLLIN, 0}, {peer.pidfd(), POLLIN, 0}};
      const int ready = poll(entries, 2, kLostWakeUpMs);
      EXPECT_GT(ready, 0) << "a wake-up was lost; " << life.described();
      if (ready <= 0) return false;
    }
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t drained = read(bell_.get(), &rings, sizeof rings);
    if (std::uniform_int_distribution<int>(0, 1)(random_) == 0) host.set_wants(0);
    return true;
  }

  // Nothing is killed: everything comes back, and so does the memory.
  void retire(HostEnd& host, Life& life, const Peer& peer) {
    while (life.batches() != 0 && !testing::Test::HasFatalFailure()) {
      if (!sleep_until_news(host, life, peer)) return;
      ASSERT_FALSE(peer.dead());
      life.drain();
    }
    while (!host.post_retire()) {
      if (!sleep_until_news(host, life, peer)) return;
    }
    host.notify();
    ASSERT_TRUE(base::wait_exit(peer.pidfd(), base::Deadline::in(std::chrono::seconds(20))));
    life.drain();
    host.trim(0);
    ASSERT_EQ(host.committed_bytes(), 0u);
  }

  Books& books_;
  Ledger& ledger_;
  std::mt19937& random_;
  base::UniqueFd bell_;
};

void expect_books_match(const Books& books, const Ledger& ledger) {
  for (std::uint32_t task = 0; task < books.next_task; ++task) {
    const int runs = ledger.runs(task);
    switch (books.fates[task]) {
      case Fate::replied:
        ASSERT_EQ(runs, 1) << "task " << task << " was replied to";
        break;
      case Fate::lost:
        ASSERT_LE(runs, 1) << "task " << task << " was lost";
        break;
      case Fate::queued:
        ASSERT_EQ(runs, 0) << "task " << task << " is still queued";
        break;
      case Fate::none:
      case Fate::posted:
        FAIL() << "task " << task << " has no outcome";
    }
  }
}

TEST(KilledPeer, LosesOnlyItsClaimedItemAndRunsNothingTwice) {
  const std::uint32_t seed = from_environment("PYHOST_TEST_SEED", std::random_device{}());
  const std::uint32_t kills_wanted = from_environment("PYHOST_TEST_KILLS", 2200);
  SCOPED_TRACE("PYHOST_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  Books books(8 << 20);
  Ledger ledger(8 << 20);
  const std::size_t descriptors = open_descriptors();
  std::uint32_t kills = 0;

  {
    Storm storm(books, ledger, random);
    while (kills < kills_wanted && !testing::Test::HasFailure()) kills += storm.live() ? 1 : 0;
  }

  expect_books_match(books, ledger);
  EXPECT_EQ(open_descriptors(), descriptors);
  const auto lost = std::count(books.fates.begin(), books.fates.end(), Fate::lost);
  const auto replied = std::count(books.fates.begin(), books.fates.end(), Fate::replied);
  EXPECT_LE(lost, kills);
  std::printf("%u kills (seed %u): %ld replied, %ld lost, %lu revoked, %lu stopped\n", kills, seed,
              replied, lost, books.revoked, books.stops);
}

// The same without processes, so that a thread sanitizer sees both ends.
TEST(ThreadPeer, SettlesEveryItemOnceWhileBatchesShrink) {
  const std::uint32_t seed = from_environment("PYHOST_TEST_SEED", std::random_device{}());
  SCOPED_TRACE("PYHOST_TEST_SEED=" + std::to_string(seed));
  constexpr std::uint32_t kTasks = 30'000;
  std::mt19937 random(seed);
  Books books(kTasks);
  Ledger ledger(kTasks);
  HostEnd host = HostEnd::create(stress_sizes()).value_or_throw();
  Life life(host, books, random);
  WorkerEnd end = WorkerEnd::attach(host.share_host_region().value_or_throw(),
                                    host.share_worker_region().value_or_throw(), base::UniqueFd())
                      .value_or_throw();
  std::thread worker([&] { peer_loop(end, ledger); });

  const base::Deadline deadline = base::Deadline::in(std::chrono::seconds(60));
  do {
    books.fill(50);
    if (!books.queue.empty()) life.post(20, false);
    host.notify();
    if (life.pick(0, 2) == 0) life.shrink_one();
    const std::uint32_t seen = host.reply_word().load();
    host.set_wants(kWakeFutex);
    if (!host.replies_waiting() && life.batches() != 0) {
      base::futex_wait(host.reply_word(), seen, deadline, base::Sharing::processes);
    }
    host.set_wants(0);
    life.drain();
  } while ((life.batches() != 0 || !books.queue.empty()) && !deadline.passed());
  while (!host.post_retire()) life.drain();
  host.notify();
  worker.join();

  EXPECT_EQ(std::count(books.fates.begin(), books.fates.end(), Fate::replied), kTasks);
  expect_books_match(books, ledger);
  host.trim(0);
  EXPECT_EQ(host.committed_bytes(), 0u);
}

}  // namespace
}  // namespace pyhost::wire::test
