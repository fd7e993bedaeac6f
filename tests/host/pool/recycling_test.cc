// Workers are replaced for their calls, their age or their memory, and no call ever notices.
#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include <signal.h>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

std::map<int, int> calls_by_pid(const std::string& path) {
  std::map<int, int> calls;
  std::ifstream file(path);
  for (int pid = 0; file >> pid;) ++calls[pid];
  return calls;
}

TEST(Recycling, GivesNoWorkerMoreCallsThanItsLimit) {
  const TempFolder folder;
  Pool pool = start_pool({.max_tasks_per_worker = 7});
  const std::vector<std::string> paths(200, folder.file("ran"));

  for (auto& result : pool.map<int>("record_pid", paths)) EXPECT_TRUE(result.ok());

  int calls = 0;
  for (const auto& [pid, count] : calls_by_pid(paths.front())) {
    EXPECT_LE(count, 7) << "worker process " << pid;
    calls += count;
  }
  EXPECT_EQ(calls, 200);
  EXPECT_GE(pool.stats().recycled, 26u);
  EXPECT_EQ(pool.stats().crashes, 0u);
  EXPECT_EQ(pool.stats().failed, 0u);
}

TEST(Recycling, AfterEveryCallGivesEachAProcessOfItsOwn) {
  Pool pool = start_pool({.max_tasks_per_worker = 1});
  std::set<int> pids;

  for (int i = 0; i < 12; ++i) pids.insert(pool.call<int>("pid"));

  EXPECT_EQ(pids.size(), 12u);
}

// One call at a time: what is posted behind a call that turns out long, say on a busy machine, is
// taken back, and a worker that was to end with it ends without it.
TEST(Recycling, LowersLongLimitsByATenthAtMost) {
  Pool pool = start_pool({.workers = 1, .max_tasks_per_worker = 100});
  std::map<int, int> calls;

  int last = 0;
  for (int i = 0; i < 1000; ++i) ++calls[last = pool.call<int>("pid")];

  EXPECT_GE(calls.size(), 10u);
  for (const auto& [pid, count] : calls) {
    EXPECT_LE(count, 100) << "worker process " << pid;
    if (pid != last) {
      EXPECT_GE(count, 90) << "worker process " << pid;
    }
  }
}

TEST(Recycling, StartsTheSuccessorBeforeTheWorkerEnds) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1, .max_tasks_per_worker = 1});
  const std::string open = folder.file("open");
  auto last_call = pool.submit<std::string>("wait_for_file", open);  // the only one it may have

  EXPECT_EQ(pool.call<int>("square", 3), 9);  // so this ran on a successor, meanwhile

  std::ofstream(open).put('x');
  EXPECT_EQ(last_call.get(), open);
}

TEST(Recycling, RunsTheExitFunctionsOfAWorker) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1, .max_tasks_per_worker = 1});
  const std::string path = folder.file("ended");

  pool.call<int>("note_at_exit", path);

  EXPECT_TRUE(eventually([&] { return std::ifstream(path).good(); }));
}

TEST(Recycling, ByAgeReplacesWorkersThatAreIdle) {
  Pool pool = start_pool({.workers = 1, .max_worker_age = 50ms});
  const int first = pool.call<int>("pid");

  EXPECT_TRUE(eventually([&] { return pool.stats().recycled >= 2; }));

  EXPECT_NE(pool.call<int>("pid"), first);
  EXPECT_EQ(pool.stats().crashes, 0u);
}

TEST(Recycling, ByMemoryReplacesAWorkerThatKeepsTooMuch) {
  Pool pool = start_pool({.workers = 1, .max_worker_memory = 200'000'000});
  const int first = pool.call<int>("keep", 1'000'000);
  pool.call<int>("pass_through", 300'000'000);  // much during a call is no reason
  ASSERT_EQ(pool.call<int>("pid"), first);

  pool.call<int>("keep", 300'000'000);

  EXPECT_TRUE(eventually([&] { return pool.call<int>("pid") != first; }));
  EXPECT_TRUE(eventually([&] { return pool.stats().recycled == 1; }));
}

TEST(Recycling, OfWorkersWithSeveralCallsWaitsForNone) {
  Pool pool = start_pool({.workers = 1, .concurrency = 4, .max_tasks_per_worker = 4});
  const auto start = std::chrono::steady_clock::now();
  std::vector<int> inputs(80);

  for (auto& result : pool.map<int>("square", inputs)) EXPECT_TRUE(result.ok());

  // A worker that does not hear that it is to end is killed after two seconds, and holds its slot.
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s);
  EXPECT_GE(pool.stats().recycled, 18u);
}

TEST(Recycling, WithOneInterpreterPerWorkerWorksAsWell) {
  Pool pool = start_pool({.workers = 1, .start = "spawn", .max_tasks_per_worker = 2});
  std::map<int, int> calls;

  for (int i = 0; i < 6; ++i) ++calls[pool.call<int>("pid")];

  for (const auto& [pid, count] : calls) EXPECT_LE(count, 2) << pid;
}

TEST(Recycling, WhileWorkersAreKilledLosesAndDoublesNothing) {
  const TempFolder folder;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  Pool pool = start_pool({.workers = 3, .max_tasks_per_worker = 40, .max_worker_age = 100ms});
  std::atomic<bool> done = false;
  std::atomic<int> kills = 0;
  std::jthread killer([&] {
    while (!done) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 10'000));
      const std::vector<pid_t> pids = pool.stats().pids;
      if (pids.size() > 1 && kill(pids[random() % pids.size()], SIGKILL) == 0) ++kills;
    }
  });
  constexpr int kItems = 6000;
  std::vector<std::tuple<std::string, int, bool>> inputs;
  for (int i = 0; i < kItems; ++i) inputs.emplace_back(folder.file("ran"), i, false);

  int index = 0;
  int failed = 0;
  for (auto& result : pool.map<int>("record_or_die", inputs)) {
    if (result.ok()) {
      EXPECT_EQ(*result, index);
    }
    if (!result.ok()) {
      EXPECT_EQ(result.error().code, Code::worker_crashed) << result.error().what();
    }
    failed += result.ok() ? 0 : 1;
    ++index;
  }
  done = true;
  killer.join();

  EXPECT_EQ(index, kItems);
  EXPECT_LE(failed, kills);
  EXPECT_GT(pool.stats().recycled, 10u);
  const std::map<int, int> runs = calls_by_pid(folder.file("ran"));
  for (const auto& [item, count] : runs) EXPECT_EQ(count, 1) << "item " << item << " ran twice";
  EXPECT_GE(static_cast<int>(runs.size()) + failed, kItems);
}

}  // namespace
}  // namespace pyhost::tests
