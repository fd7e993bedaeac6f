// Several calls in flight per worker, as coroutines and as threads.
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

// So many calls of a function that waits for all of them. One by one they would fail by their
// limit.
void expect_to_meet(Pool& pool, const std::string& function, int count) {
  const TempFolder folder;
  std::vector<Future<int>> futures;
  for (int i = 0; i < count; ++i) {
    futures.push_back(pool.submit<int>(function, folder.file(""), i, count));
  }
  for (int i = 0; i < count; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

TEST(Concurrency, CoroutinesOfOneWorkerWaitTogether) {
  Pool pool = start_pool({.workers = 1, .timeout = 20s, .concurrency = 50});

  expect_to_meet(pool, "meet", 50);
}

TEST(Concurrency, FunctionsOfOneWorkerWaitTogetherInThreads) {
  Pool pool = start_pool({.workers = 1, .timeout = 20s, .concurrency = 8});

  expect_to_meet(pool, "meet_in_threads", 8);
}

TEST(Concurrency, RepliesComeInAnyOrder) {
  const TempFolder folder;
  const std::string gate = folder.file("gate");
  Pool pool = start_pool({.workers = 1, .concurrency = 4});

  const auto slow = pool.submit<std::string>("wait_for_file", gate);
  const auto quick = pool.submit<double>("wait_a_while", 0.0);

  EXPECT_DOUBLE_EQ(quick.get(), 0.0);
  EXPECT_FALSE(slow.wait_for(0ms));
  std::ofstream(gate).put('x');
  EXPECT_EQ(slow.get(), gate);
}

TEST(Concurrency, ManyQuickCallsAllCome) {
  Pool pool = start_pool({.workers = 2, .concurrency = 4});
  std::vector<int> inputs(5000);
  for (int i = 0; i < 5000; ++i) inputs[static_cast<std::size_t>(i)] = i;

  long sum = 0;
  for (auto& result : pool.map<int>("square", inputs)) sum += result.value() % 1000;

  long expected = 0;
  for (const int i : inputs) expected += i * i % 1000;
  EXPECT_EQ(sum, expected);
}

TEST(Concurrency, ACoroutineOverItsLimitIsCancelledAlone) {
  const TempFolder folder;
  const std::string gate = folder.file("gate");
  Pool pool = start_pool({.workers = 1, .concurrency = 4});
  const auto others = {pool.submit<std::string>("wait_for_file", gate),
                       pool.submit<std::string>("wait_for_file", gate)};
  const int before = pool.call<int>("pid");

  const auto outcome = pool.with({.timeout = 200ms}).try_call<int>("wait_for_ever");

  EXPECT_EQ(outcome.error().code, Code::timeout);
  std::ofstream(gate).put('x');
  for (const auto& other : others) EXPECT_EQ(other.get(), gate);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

TEST(Concurrency, TheCallerOfAThreadThatDoesNotStopIsToldOnTime) {
  Pool pool = start_pool({.workers = 1, .concurrency = 4});
  const int before = pool.call<int>("pid");

  const auto outcome =
      pool.with({.timeout = 200ms, .grace = 10s}).try_call<std::string>("shrug_off", 30.0);

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_EQ(pool.stats().pids, std::vector<pid_t>{before});  // the grace period is not over
}

TEST(Concurrency, WhatElseAKilledWorkerRanFailsAsCollateralAndMayRunAgain) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1, .concurrency = 4});
  const auto doomed = pool.submit<double>("wait_a_while", 60.0);
  const auto retried = pool.with({.retries = 1}).submit<int>("hang_until", folder.file("runs"), 1);
  EXPECT_FALSE(doomed.wait_for(200ms));

  // Long enough to be where it shrugs off what it is told, on a busy machine, too.
  const auto culprit =
      pool.with({.timeout = 1s, .grace = 300ms}).try_call<std::string>("shrug_off", 30.0);

  EXPECT_EQ(culprit.error().code, Code::timeout);
  const auto collateral = doomed.try_get();
  EXPECT_EQ(collateral.error().code, Code::worker_crashed);
  EXPECT_NE(collateral.error().message.find("`shrug_off`"), std::string::npos)
      << collateral.error().message;
  EXPECT_EQ(retried.get(), 2);
}

TEST(Concurrency, ADeadWorkerLosesAllItRanAndNothingItDidNot) {
  Pool pool = start_pool({.workers = 1, .concurrency = 4});
  std::vector<Future<double>> running;
  for (int i = 0; i < 3; ++i) running.push_back(pool.submit<double>("wait_a_while", 60.0));
  EXPECT_FALSE(running.back().wait_for(300ms));
  const auto killer = pool.submit<int>("kill_self");
  std::vector<Future<int>> later;
  for (int i = 0; i < 20; ++i) later.push_back(pool.submit<int>("square", i));

  EXPECT_EQ(killer.try_get().error().code, Code::worker_crashed);
  for (const auto& future : running) {
    EXPECT_EQ(future.try_get().error().code, Code::worker_crashed);
  }
  int fine = 0;
  for (const auto& future : later) fine += future.try_get().ok() ? 1 : 0;
  EXPECT_GE(fine, 19);  // one may have run beside the killer
}

TEST(Concurrency, ARunningCoroutineIsCancelledWithForce) {
  Pool pool = start_pool({.workers = 1, .concurrency = 4});
  const int before = pool.call<int>("pid");
  const auto running = pool.submit<int>("wait_for_ever");
  EXPECT_FALSE(running.wait_for(200ms));

  EXPECT_FALSE(running.cancel());
  EXPECT_TRUE(running.cancel(true));

  EXPECT_EQ(running.try_get().error().code, Code::cancelled);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

}  // namespace
}  // namespace pyhost::tests
