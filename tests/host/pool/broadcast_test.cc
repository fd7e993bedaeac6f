// Calls that every worker runs once.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

TEST(Broadcast, RunsOnceOnEveryWorker) {
  Pool pool = start_pool({.workers = 3});

  const auto futures = pool.broadcast<int>("pid");

  std::set<int> pids;
  for (const auto& future : futures) pids.insert(future.get());
  EXPECT_EQ(futures.size(), 3u);
  EXPECT_EQ(pids.size(), 3u);
}

TEST(Broadcast, ComesBeforeWhatIsQueued) {
  const TempFolder folder;
  const std::string open = folder.file("open");
  Pool pool = start_pool({.workers = 1});
  auto blocker = pool.submit<std::string>("wait_for_file", open);
  auto queued = pool.submit<int>("record", folder.file("order"), 2);

  const auto futures = pool.broadcast<int>("record", folder.file("order"), 1);
  std::ofstream(open).put('x');

  EXPECT_EQ(queued.get(), 2);
  ASSERT_EQ(futures.size(), 1u);
  EXPECT_EQ(futures.front().get(), 1);
  std::ifstream order(folder.file("order"));
  int first = 0;
  order >> first;
  EXPECT_EQ(first, 1);
}

TEST(Broadcast, TellsOfTheWorkerThatDiesInIt) {
  Pool pool = start_pool({.workers = 2});

  for (const auto& future : pool.broadcast<int>("kill_self")) {
    EXPECT_EQ(future.try_get().error().code, Code::worker_crashed);
  }

  EXPECT_EQ(pool.call<int>("square", 4), 16);
}

TEST(Broadcast, IsNeverRunAgain) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 2, .retries = 3});

  const auto futures =
      pool.broadcast<int>("record_or_die", std::tuple(folder.file("ran"), 1, true));

  for (const auto& future : futures) EXPECT_FALSE(future.try_get().ok());
  std::ifstream ran(folder.file("ran"));
  int lines = 0;
  for (int line = 0; ran >> line;) ++lines;
  EXPECT_EQ(lines, 2);
}

TEST(Broadcast, IsCancelledForAWorkerThatEndsBefore) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1});
  const int worker = pool.call<int>("pid");
  auto blocker = pool.submit<int>("announce_and_wait", folder.file("started"));
  ASSERT_TRUE(eventually([&] { return std::ifstream(folder.file("started")).good(); }));
  const auto futures = pool.broadcast<int>("pid");
  ASSERT_EQ(futures.size(), 1u);

  kill(worker, SIGKILL);

  EXPECT_EQ(futures.front().try_get().error().code, Code::cancelled);
  EXPECT_FALSE(blocker.try_get().ok());
}

TEST(Broadcast, ThatWaitsCanBeCancelled) {
  const TempFolder folder;
  const std::string open = folder.file("open");
  Pool pool = start_pool({.workers = 1});
  auto blocker = pool.submit<std::string>("wait_for_file", open);
  const auto futures = pool.broadcast<int>("pid");

  EXPECT_TRUE(futures.front().cancel());
  std::ofstream(open).put('x');

  EXPECT_EQ(futures.front().try_get().error().code, Code::cancelled);
  EXPECT_EQ(blocker.get(), open);
  EXPECT_EQ(pool.call<int>("square", 4), 16);
}

TEST(Broadcast, OnAPoolWithoutWorkersReachesNobody) {
  Pool pool = start_pool({.workers = {0, 2}});

  EXPECT_TRUE(pool.broadcast<int>("pid").empty());
}

TEST(Broadcast, AfterTheEndSaysSo) {
  Pool pool = start_pool();
  ASSERT_TRUE(pool.drain(20s));

  const auto futures = pool.broadcast<int>("pid");

  ASSERT_EQ(futures.size(), 1u);
  EXPECT_EQ(futures.front().try_get().error().code, Code::cancelled);
}

TEST(Broadcast, WhileWorkersAreReplacedGivesEachFutureOneOutcome) {
  Pool pool = start_pool({.workers = 3, .max_tasks_per_worker = 3});
  std::vector<Future<int>> calls;
  std::vector<Future<int>> shares;

  for (int i = 0; i < 30; ++i) {
    for (int call = 0; call < 4; ++call) calls.push_back(pool.submit<int>("square", call));
    for (auto& share : pool.broadcast<int>("pid")) shares.push_back(std::move(share));
  }

  for (const auto& call : calls) EXPECT_TRUE(call.try_get().ok());
  int ran = 0;
  for (const auto& share : shares) {
    const auto outcome = share.try_get();
    if (!outcome.ok()) {
      EXPECT_EQ(outcome.error().code, Code::cancelled) << outcome.error().what();
    }
    ran += outcome.ok() ? 1 : 0;
  }
  EXPECT_GT(ran, 0);
}

}  // namespace
}  // namespace pyhost::tests
