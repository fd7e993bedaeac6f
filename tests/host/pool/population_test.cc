// How many workers there are, and what must have happened before one takes calls.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>
#include <tuple>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

TEST(Elastic, StartsTheFewestAndGrowsWithTheLoad) {
  const TempFolder folder;
  const std::string open = folder.file("open");
  Pool pool = start_pool({.workers = {1, 3}});
  EXPECT_EQ(pool.stats().workers, 1);

  std::vector<Future<std::string>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit<std::string>("wait_for_file", open));

  EXPECT_TRUE(eventually([&] { return pool.stats().busy == 3; }));
  std::ofstream(open).put('x');
  for (const auto& future : futures) EXPECT_EQ(future.get(), open);
}

TEST(Elastic, NeverHasMoreThanTheMost) {
  const TempFolder folder;
  const std::string open = folder.file("open");
  Pool pool = start_pool({.workers = {0, 2}});
  std::vector<Future<std::string>> futures;
  for (int i = 0; i < 6; ++i) futures.push_back(pool.submit<std::string>("wait_for_file", open));

  EXPECT_TRUE(eventually([&] { return pool.stats().busy == 2; }));
  EXPECT_EQ(pool.stats().workers, 2);

  std::ofstream(open).put('x');
  for (const auto& future : futures) EXPECT_EQ(future.get(), open);
}

TEST(Elastic, ShrinksToTheFewestWhenIdle) {
  const TempFolder folder;
  const std::string path = folder.file("ended");
  Pool pool = start_pool({.workers = {1, 3}, .idle_time = 50ms});
  std::vector<Future<double>> futures;
  for (int i = 0; i < 6; ++i) futures.push_back(pool.submit<double>("nap", 0.05));
  for (const auto& future : futures) future.get();

  EXPECT_TRUE(eventually([&] { return pool.stats().workers == 1; }));

  EXPECT_EQ(pool.call<int>("square", 4), 16);
  EXPECT_EQ(pool.stats().crashes, 0u);
  EXPECT_EQ(pool.stats().recycled, 0u);
}

TEST(Elastic, FromZeroStartsAWorkerWithTheFirstCallAndLetsItGo) {
  Pool pool = start_pool({.workers = {0, 2}, .idle_time = 50ms});
  EXPECT_EQ(pool.stats().workers, 0);

  EXPECT_EQ(pool.call<int>("square", 4), 16);

  EXPECT_TRUE(eventually([&] { return pool.stats().workers == 0; }));
  EXPECT_EQ(pool.call<int>("square", 5), 25);
}

TEST(Elastic, WorksWithOneInterpreterPerWorker) {
  Pool pool = start_pool({.workers = {0, 2}, .start = "spawn", .idle_time = 50ms});

  EXPECT_EQ(pool.call<int>("square", 4), 16);
  EXPECT_TRUE(eventually([&] { return pool.stats().workers == 0; }));

  EXPECT_EQ(pool.call<int>("square", 5), 25);
}

TEST(Elastic, PoolsOfAPlainCountDoNotShrink) {
  Pool pool = start_pool({.workers = 2, .idle_time = 10ms});
  ASSERT_TRUE(eventually([&] { return pool.stats().workers == 2; }));
  // One that does tells how long to wait.
  Pool elastic = start_pool({.workers = {0, 2}, .idle_time = 10ms});
  EXPECT_EQ(elastic.call<int>("square", 4), 16);
  ASSERT_TRUE(eventually([&] { return elastic.stats().workers == 0; }));

  EXPECT_EQ(pool.stats().workers, 2);
}

TEST(Elastic, PoolsDrainWhileTheyShrink) {
  Pool pool = start_pool({.workers = {0, 3}, .idle_time = 1ms});
  for (int i = 0; i < 30; ++i) EXPECT_EQ(pool.call<int>("square", i), i * i);

  EXPECT_TRUE(pool.drain(20s));
}

TEST(Initializer, RunsInEachWorkerBeforeItsFirstCall) {
  Pool pool = start_pool({.workers = 2, .initializer = "prepare"});

  for (int i = 0; i < 10; ++i) EXPECT_TRUE(pool.call<bool>("is_prepared"));

  const int first = pool.call<int>("pid");
  EXPECT_FALSE(pool.try_call<int>("kill_self").ok());
  EXPECT_TRUE(eventually([&] { return pool.call<int>("pid") != first; }));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(pool.call<bool>("is_prepared"));
}

TEST(Initializer, ThatRaisesFailsTheStartAndCarriesTheExceptionOnce) {
  const auto pool = try_start(
      {.script = kVictims + "pool_script.py", .workers = 2, .initializer = "refuse_to_prepare"});

  ASSERT_FALSE(pool.ok());
  const Error& error = pool.error();
  EXPECT_EQ(error.code, Code::startup);
  const std::string what = error.what();
  EXPECT_NE(what.find("the initializer `refuse_to_prepare` failed"), std::string::npos) << what;
  const std::size_t first = what.find("ValueError: no database");
  ASSERT_NE(first, std::string::npos) << what;
  EXPECT_EQ(what.find("no database", first + 20), std::string::npos) << what;
  EXPECT_NE(error.traceback.find("in refuse_to_prepare"), std::string::npos) << error.traceback;
}

TEST(Initializer, ThatDiesFailsTheStart) {
  const auto pool =
      try_start({.script = kVictims + "pool_script.py", .workers = 2, .initializer = "kill_self"});

  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code, Code::startup);
  const std::string what = pool.error().what();
  EXPECT_NE(what.find("was killed by SIGKILL in the initializer `kill_self`"), std::string::npos)
      << what;
}

TEST(Initializer, ThatFailsOnceIsTriedInAnotherWorker) {
  const TempFolder folder;
  setenv("PYHOST_TEST_FAIL_ONCE", folder.file("failed").c_str(), 1);
  Pool pool = start_pool({.workers = 1, .initializer = "fail_once"});
  unsetenv("PYHOST_TEST_FAIL_ONCE");

  EXPECT_EQ(pool.call<int>("square", 4), 16);
  EXPECT_EQ(pool.stats().crashes, 0u);
}

using Threads = std::tuple<int, int, std::string>;

TEST(Threads, OfNumericalLibrariesAreCappedPerWorker) {
  Pool pool = start_pool({.script = kVictims + "uses_openmp.py", .threads_per_worker = 3});

  EXPECT_EQ(pool.call<Threads>("threads"), Threads(3, 3, "3"));
}

TEST(Threads, ShareTheCpusUnlessToldOtherwise) {
  Pool pool = start_pool({.script = kVictims + "uses_openmp.py", .workers = {1, 64}});

  EXPECT_EQ(pool.call<Threads>("threads"), Threads(1, 1, "1"));
}

TEST(Threads, AreTheUsersToSetInTheEnvironment) {
  setenv("OMP_NUM_THREADS", "5", 1);
  Pool pool = start_pool({.script = kVictims + "uses_openmp.py", .threads_per_worker = 3});
  const auto threads = pool.call<Threads>("threads");
  unsetenv("OMP_NUM_THREADS");

  EXPECT_EQ(threads, Threads(5, 64, ""));  // 64: what the script asked for stands as well
}

}  // namespace
}  // namespace pyhost::tests
