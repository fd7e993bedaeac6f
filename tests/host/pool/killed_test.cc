// Processes of a pool are killed at random while it works: every item settles once, nothing runs
// twice, and the pool goes on.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <ranges>
#include <thread>
#include <vector>

#include <base/system.h>

#include "../parent_of.h"
#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

// A zombie is not: where nobody reaps orphans (a container whose first process does not), they
// stay.
bool alive(pid_t pid) {
  const auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return false;
  const std::size_t state = stat->rfind(") ");
  return state != std::string::npos && stat->at(state + 2) != 'Z';
}

unsigned storm_seed() {
  const char* given = std::getenv("PYHOST_STORM_SEED");
  return given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device()();
}

// Maps `count` items that note each run, while `trouble` is called every now and then. Checks what
// must hold whatever happens, and returns how many items failed.
int map_under_fire(Pool& pool, int count, const std::function<void()>& trouble) {
  const TempFolder folder;
  std::atomic<bool> done = false;
  std::jthread killer([&] {
    while (!done) trouble();
  });
  std::vector<std::tuple<std::string, int, bool>> inputs;
  for (int i = 0; i < count; ++i) inputs.emplace_back(folder.file("ran"), i, false);
  int failed = 0;
  int index = 0;
  for (auto& result : pool.map<int>("record_or_die", inputs)) {
    if (result.ok()) {
      EXPECT_EQ(*result, index);
    } else {
      EXPECT_EQ(result.error().code, Code::worker_crashed) << result.error().what();
      ++failed;
    }
    ++index;
  }
  done = true;
  killer.join();
  EXPECT_EQ(index, count);

  std::map<int, int> runs;
  std::ifstream ran(folder.file("ran"));
  for (int line = 0; ran >> line;) ++runs[line];
  int never = 0;
  for (int i = 0; i < count; ++i) {
    EXPECT_LE(runs[i], 1) << "item " << i << " ran twice";
    never += runs[i] == 0 ? 1 : 0;
  }
  EXPECT_LE(never, failed) << "an item that never ran has a result";
  return failed;
}

TEST(Killed, OfKilledWorkersFailsOnlyClaimedItems) {
  const unsigned seed = storm_seed();
  SCOPED_TRACE("PYHOST_STORM_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  Pool pool = start_pool({.workers = 3});
  std::atomic<int> kills = 0;

  const int failed = map_under_fire(pool, 20'000, [&] {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    const std::vector<pid_t> pids = pool.stats().pids;
    // One is left to work: killing the last before it is ready, again and again, is a crash loop.
    if (pids.size() > 1 && kill(pids[random() % pids.size()], SIGKILL) == 0) ++kills;
  });

  EXPECT_GT(kills, 0);
  EXPECT_LE(failed, kills);
  EXPECT_EQ(pool.call<int>("square", 12), 144);
}

TEST(Killed, OfKilledZygotesLosesOneItemPerWorkerAtMost) {
  Pool pool = start_pool();
  std::atomic<int> kills = 0;

  const int failed = map_under_fire(pool, 20'000, [&] {
    std::this_thread::sleep_for(10ms);
    const std::vector<pid_t> pids = pool.stats().pids;
    if (kills >= 4 || pids.empty()) return;
    const pid_t zygote = parent_of(pids.front());
    if (zygote > 1 && zygote != getpid() && kill(zygote, SIGKILL) == 0) ++kills;
  });

  EXPECT_GT(kills, 0);
  EXPECT_LE(failed, 2 * kills);
  EXPECT_EQ(pool.call<int>("square", 12), 144);
}

TEST(Killed, OfAKilledWatcherIsSurvived) {
  Pool pool = start_pool();
  const pid_t worker = pool.call<int>("pid");
  const pid_t zygote = parent_of(worker);
  const pid_t watcher = parent_of(zygote);
  ASSERT_EQ(parent_of(watcher), getpid());

  kill(watcher, SIGKILL);

  // The first call may have been with a worker that ended with its watcher.
  const auto first = pool.try_call<int>("square", 5);
  EXPECT_TRUE(first.ok() || first.error().code == Code::worker_crashed) << first.error().what();
  EXPECT_EQ(pool.call<int>("square", 5), 25);
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while ((alive(worker) || alive(zygote)) && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(alive(worker));
  EXPECT_FALSE(alive(zygote));
}

TEST(Killed, OfAStoppedWorkerLeavesItsCallsToTheOthers) {
  Pool pool = start_pool();
  const pid_t worker = pool.call<int>("pid");
  kill(worker, SIGSTOP);

  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool.call<int>("square", i), i * i);

  kill(worker, SIGCONT);
}

TEST(Killed, OfStoppedWorkersEndsAtTheTimeLimit) {
  Pool pool = start_pool({.timeout = 200ms});
  const pid_t worker = pool.call<int>("pid");
  kill(worker, SIGSTOP);

  std::vector<Future<int>> futures;
  for (int i = 0; i < 8; ++i) futures.push_back(pool.submit<int>("square", i));

  int good = 0;
  for (auto& future : futures) good += future.try_get().ok() ? 1 : 0;
  EXPECT_GE(good, 7);
}

}  // namespace
}  // namespace pyhost::tests
