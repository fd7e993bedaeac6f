// Retries: what the user allowed to run again does, and nothing else.
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

int lines_in(const std::string& path) {
  std::ifstream file(path);
  int lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}

TEST(Retries, RunAFailedCallAgainUntilItSucceeds) {
  const TempFolder folder;
  Pool pool = start_pool();

  EXPECT_EQ(pool.with({.retries = 3}).call<int>("fail_until", folder.file("runs"), 2), 3);

  EXPECT_EQ(pool.stats().retries, 2u);
}

TEST(Retries, WithoutThemNothingRunsTwice) {
  const TempFolder folder;
  Pool pool = start_pool();

  const auto raised = pool.try_call<int>("fail_until", folder.file("raised"), 2);
  const auto died = pool.try_call<int>("die_until", folder.file("died"), 2);

  EXPECT_EQ(raised.error().attempts, 1);
  EXPECT_EQ(died.error().code, Code::worker_crashed);
  EXPECT_EQ(lines_in(folder.file("raised")), 1);
  EXPECT_EQ(lines_in(folder.file("died")), 1);
  EXPECT_EQ(pool.stats().retries, 0u);
}

TEST(Retries, TellHowOftenTheCallRanWhenTheyAreUsedUp) {
  const TempFolder folder;
  Pool pool = start_pool();

  const auto outcome = pool.with({.retries = 2}).try_call<int>("fail_until", folder.file("r"), 9);

  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::python_error);
  EXPECT_EQ(outcome.error().attempts, 3);
  EXPECT_EQ(lines_in(folder.file("r")), 3);
}

TEST(Retries, CoverCrashes) {
  const TempFolder folder;
  Pool pool = start_pool();

  EXPECT_EQ(pool.with({.retries = 3}).call<int>("die_until", folder.file("runs"), 2), 3);
  EXPECT_EQ(lines_in(folder.file("runs")), 3);
}

TEST(Retries, CoverTimeoutsSoftAndHard) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1});
  const auto soft = pool.with({.timeout = 200ms, .retries = 1});
  const auto hard = pool.with({.timeout = 200ms, .retries = 1, .grace = 0ms});

  EXPECT_EQ(soft.call<int>("hang_until", folder.file("soft"), 1), 2);
  EXPECT_EQ(hard.call<int>("hang_until", folder.file("hard"), 1), 2);

  const auto hopeless = soft.try_call<int>("hang_until", folder.file("hopeless"), 9);
  EXPECT_EQ(hopeless.error().code, Code::timeout);
  EXPECT_EQ(hopeless.error().attempts, 2);
}

TEST(Retries, SendALargePayloadAgain) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 1, .retries = 2});
  const std::string text(3'000'000, 'x');

  const auto result = pool.call<std::vector<int>>("fail_until_large", folder.file("runs"), 2, text);

  EXPECT_EQ(result, (std::vector{3, 3'000'000}));
}

TEST(Retries, AreNarrowedByKind) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 2, .retries = 3, .retry_on = {"crashed"}});

  EXPECT_EQ(pool.call<int>("die_until", folder.file("died"), 1), 2);
  EXPECT_FALSE(pool.try_call<int>("fail_until", folder.file("raised"), 1).ok());
  EXPECT_EQ(lines_in(folder.file("raised")), 1);
}

TEST(Retries, AreNarrowedByExceptionIncludingSubclasses) {
  const TempFolder folder;
  Pool pool = start_pool();
  const auto own = pool.with({.retries = 1, .retry_on = {"pool_script.Flaw"}});
  const auto builtin = pool.with({.retries = 3, .retry_on = {"OSError"}});
  const auto other = pool.with({.retries = 3, .retry_on = {"ValueError", "KeyError"}});

  EXPECT_FALSE(own.try_call<int>("raise_small_flaw", folder.file("own")).ok());
  EXPECT_EQ(builtin.call<int>("fail_until", folder.file("builtin"), 2), 3);
  EXPECT_FALSE(other.try_call<int>("fail_until", folder.file("other"), 2).ok());

  EXPECT_EQ(lines_in(folder.file("own")), 2);
  EXPECT_EQ(lines_in(folder.file("other")), 1);
}

TEST(Retries, DoNotCoverWhatCannotCrossOrWasCancelled) {
  Pool pool = start_pool({.workers = 1, .retries = 5});

  EXPECT_EQ(pool.try_call<int>("a_set").error().code, Code::marshal);
  const Future<int> running = pool.submit<int>("never_return");
  while (pool.stats().in_flight == 0) std::this_thread::yield();
  EXPECT_FALSE(running.wait_for(20ms));
  EXPECT_TRUE(running.cancel(true));

  EXPECT_EQ(running.try_get().error().code, Code::cancelled);
  EXPECT_EQ(pool.stats().retries, 0u);
}

TEST(Retries, OfItemsOfAMapKeepTheirPlaces) {
  const TempFolder folder;
  Pool pool = start_pool({.workers = 2, .retries = 200});
  std::vector<int> inputs(300);
  for (int i = 0; i < 300; ++i) inputs[static_cast<std::size_t>(i)] = i;

  std::vector<int> results;
  for (auto& result : pool.map<int>("die_at_some", inputs)) results.push_back(result.ok() ? 1 : 0);

  EXPECT_EQ(results, std::vector<int>(300, 1));
}

}  // namespace
}  // namespace pyhost::tests
