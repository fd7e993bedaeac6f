// Limits: whatever a call does, it ends on time, alone, and says why.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

void wait_until_busy(const Pool& pool) {
  ASSERT_TRUE(eventually([&] { return pool.stats().in_flight > 0; }));
}

std::vector<int> numbers_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<int> numbers;
  for (int number = 0; file >> number;) numbers.push_back(number);
  return numbers;
}

TEST(Limits, ATimeoutRaisesInTheCallAndTheWorkerLivesOn) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");

  const auto outcome = pool.with({.timeout = 100ms}).try_call<int>("spin", 1);

  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_NE(outcome.error().message.find("`spin`"), std::string::npos) << outcome.error().message;
  EXPECT_NE(outcome.error().traceback.find("in spin"), std::string::npos);
  EXPECT_NE(outcome.error().stack.find("in spin"), std::string::npos);
  EXPECT_EQ(outcome.error().call, "spin(1)");
  EXPECT_GE(outcome.error().seconds, 0.1);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

TEST(Limits, ACallMayCleanUpWhenItIsAskedToStop) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1});

  const auto outcome =
      pool.with({.timeout = 100ms}).try_call<int>("clean_up", folder.file("cleaned"));

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_TRUE(std::filesystem::exists(folder.file("cleaned")));
}

TEST(Limits, ALoopInCIsKilledAfterTheGracePeriod) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");

  const auto start = Clock::now();
  const auto outcome = pool.with({.timeout = 100ms, .grace = 200ms}).try_call<int>("hold_the_gil");
  const auto took = Clock::now() - start;

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_NE(outcome.error().message.find("killed"), std::string::npos) << outcome.error().message;
  EXPECT_NE(outcome.error().stack.find("in hold_the_gil"), std::string::npos);
  EXPECT_GE(took, 300ms);
  EXPECT_NE(pool.call<int>("pid"), before);
}

TEST(Limits, AGraceOfZeroKillsAtOnce) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");

  const auto outcome = pool.with({.timeout = 50ms, .grace = 0ms}).try_call<int>("never_return");

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_NE(pool.call<int>("pid"), before);
}

TEST(Limits, AResultThatComesAfterTheLimitIsStillATimeout) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");

  const auto outcome = pool.with({.timeout = 50ms}).try_call<std::string>("shrug_off", 0.2);

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

TEST(Limits, AWorkerThatExitsWhenAskedToStopIsATimeoutToo) {
  Pool pool = start_pool({.workers = 1});

  const auto outcome = pool.with({.timeout = 50ms}).try_call<int>("exit_when_stopped");

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_EQ(pool.call<int>("square", 3), 9);
}

TEST(Limits, StoppedDeafAndBlockedWorkersEndOnTime) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 3, .timeout = 100ms, .grace = 100ms});

  const auto stopped = pool.submit<int>("stop_self");
  const auto deaf = pool.submit<int>("ignore_sigterm");
  const auto blocked = pool.submit<int>("wait_in_vfork", folder.file("fifo"));

  EXPECT_EQ(stopped.try_get().error().code, Code::timeout);
  EXPECT_EQ(deaf.try_get().error().code, Code::timeout);
  EXPECT_EQ(blocked.try_get().error().code, Code::timeout);
  EXPECT_EQ(pool.call<int>("square", 3), 9);
}

TEST(Limits, NothingBelowAKilledWorkerIsLeft) {
  const TempFolder folder;
  const std::string path = folder.file("pids");
  Pool pool = start_pool({.workers = 1});

  const auto outcome = pool.with({.timeout = 300ms, .grace = 0ms}).try_call<int>("spread", path, 4);

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_EQ(pool.call<int>("square", 3), 9);
  const auto limit = Clock::now() + 20s;
  const auto alive = [&] {
    for (const int pid : numbers_in(path)) {
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      std::string text;
      std::getline(stat, text);
      if (!text.empty() && text.find(") Z") == std::string::npos) return true;
    }
    return false;
  };
  EXPECT_FALSE(numbers_in(path).empty());
  while (alive() && Clock::now() < limit) std::this_thread::yield();
  EXPECT_FALSE(alive());
}

TEST(Limits, CpuTimeIsCountedAndSleepIsNot) {
  Pool pool = start_pool({.workers = 1});

  const auto slept = pool.with({.cpu = 100ms}).try_call<double>("nap", 0.3);
  const auto spun = pool.with({.cpu = 100ms}).try_call<int>("spin");

  EXPECT_TRUE(slept.ok());
  ASSERT_FALSE(spun.ok());
  EXPECT_EQ(spun.error().code, Code::cpu);
  EXPECT_NE(spun.error().message.find("CPU"), std::string::npos) << spun.error().message;
}

TEST(Limits, CpuTimeOfEarlierCallsDoesNotCount) {
  Pool pool = start_pool({.workers = 1});
  EXPECT_FALSE(pool.with({.timeout = 300ms}).try_call<int>("spin").ok());

  EXPECT_TRUE(pool.with({.cpu = 200ms}).try_call<int>("square", 3).ok());
  EXPECT_TRUE(pool.with({.cpu = 200ms}).try_call<double>("nap", 0.1).ok());
}

TEST(Limits, AMapGivesOnlyTheSlowItemItsTimeout) {
  Pool pool = start_pool({.workers = 2, .timeout = 200ms});
  std::vector<double> naps(20, 0.0);
  naps[5] = 60;

  std::vector<bool> good;
  for (auto& result : pool.map<double>("nap", naps)) good.push_back(result.ok());

  ASSERT_EQ(good.size(), 20u);
  for (std::size_t i = 0; i < good.size(); ++i) EXPECT_EQ(good[i], i != 5) << i;
}

TEST(Cancel, WithForceEndsTheCallAndKeepsTheWorker) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");
  const Future<int> running = pool.submit<int>("spin");
  wait_until_busy(pool);
  EXPECT_FALSE(running.wait_for(20ms));

  EXPECT_TRUE(running.cancel(true));

  EXPECT_EQ(running.try_get().error().code, Code::cancelled);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

TEST(Cancel, WithForceKillsWhatDoesNotStop) {
  Pool pool = start_pool({.workers = 1, .grace = 100ms});
  const int before = pool.call<int>("pid");
  const Future<int> running = pool.submit<int>("hold_the_gil");
  wait_until_busy(pool);
  EXPECT_FALSE(running.wait_for(20ms));

  EXPECT_TRUE(running.cancel(true));

  EXPECT_EQ(running.try_get().error().code, Code::cancelled);
  EXPECT_NE(pool.call<int>("pid"), before);
}

}  // namespace
}  // namespace pyhost::tests
