// `on_crash = pool`: one worker that dies ends the pool.
#include <sys/types.h>

#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

TEST(Breaking, AWorkerThatDiesFailsEveryCallWithoutAnOutcome) {
  Pool pool = start_pool({.workers = 2, .on_crash = OnCrash::pool});
  const auto settled = pool.call<int>("square", 7);
  auto doomed = pool.submit<int>("kill_self");
  std::vector<Future<int>> queued;
  for (int i = 0; i < 50; ++i) queued.push_back(pool.submit<int>("square", i));

  const auto outcome = doomed.try_get();
  EXPECT_EQ(settled, 49);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::worker_crashed);
  EXPECT_NE(outcome.error().message.find("SIGKILL"), std::string::npos);
  for (std::size_t i = 0; i < queued.size(); ++i) {
    const auto other = queued[i].try_get();  // some were quicker than the crash
    if (other.ok())
      EXPECT_EQ(*other, static_cast<int>(i * i));
    else
      EXPECT_EQ(other.error().code, Code::worker_crashed);
  }
}

TEST(Breaking, ABrokenPoolAcceptsNothingAndSaysWhy) {
  Pool pool = start_pool({.workers = 2, .on_crash = OnCrash::pool});
  ASSERT_FALSE(pool.try_call<int>("kill_self").ok());

  const auto refused = pool.try_call<int>("square", 7);

  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::worker_crashed);
  EXPECT_NE(refused.error().message.find("that broke the pool"), std::string::npos);
}

TEST(Breaking, WhatThePoolKillsItselfBreaksNothing) {
  Pool pool = start_pool({.workers = 1,
                          .timeout = std::chrono::milliseconds(200),
                          .grace = std::chrono::milliseconds(1),
                          .on_crash = OnCrash::pool});

  EXPECT_EQ(pool.try_call<int>("never_return").error().code, Code::timeout);

  EXPECT_EQ(pool.call<int>("square", 7), 49);
}

}  // namespace
}  // namespace pyhost::tests
