// The memory cap: a call that wants too much fails alone, however it goes about it.
#include <chrono>
#include <string>
#include <thread>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMebibyte = 1 << 20;

TEST(MemoryCap, PythonRaisesMemoryErrorAndTheWorkerLivesOn) {
  Pool pool = start_pool({.workers = 1, .memory = 64 * kMebibyte});
  const int before = pool.call<int>("pid");

  const auto outcome = pool.try_call<int>("want_memory", 200);

  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::memory);
  EXPECT_EQ(outcome.error().type, "MemoryError");
  EXPECT_NE(outcome.error().message.find("64 MiB"), std::string::npos) << outcome.error().message;
  EXPECT_NE(outcome.error().traceback.find("want_memory"), std::string::npos);
  EXPECT_EQ(pool.call<int>("want_memory", 8), 8 << 20);
  EXPECT_EQ(pool.call<int>("pid"), before);
}

TEST(MemoryCap, ReplacesAWorkerThatHoldsTooMuchAfterwards) {
  Pool pool = start_pool({.workers = 1, .memory = 64 * kMebibyte});
  const int before = pool.call<int>("pid");

  EXPECT_EQ(pool.try_call<int>("keep_and_want", 48, 200).error().code, Code::memory);

  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (pool.call<int>("pid") == before && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_NE(pool.call<int>("pid"), before);
}

TEST(MemoryCap, CountsTheChildrenOfAWorker) {
  Pool pool = start_pool({.workers = 2, .memory = 64 * kMebibyte});
  const auto bystander = pool.submit<double>("nap", 0.5);

  // Each of the two stays below the limit of a process.
  const auto outcome = pool.try_call<int>("hold_in_both", 40);

  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::memory);
  EXPECT_NE(outcome.error().message.find("hold_in_both"), std::string::npos);
  EXPECT_NE(outcome.error().message.find("64 MiB"), std::string::npos);
  EXPECT_DOUBLE_EQ(bystander.get(), 0.5);
  EXPECT_EQ(pool.call<int>("square", 3), 9);
}

TEST(MemoryCap, DoesNotCountSharedPagesOfAFork) {
  Pool pool = start_pool({.workers = 1, .memory = 64 * kMebibyte});

  EXPECT_DOUBLE_EQ(pool.call<double>("share_with_a_child", 40, 0.5), 0.5);
}

}  // namespace
}  // namespace pyhost::tests
