// Forensics: what an application learns of a worker that died, and of those that live.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <base/oom.h>
#include <pool/causes.h>
#include <pool/words.h>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "`" << part << "` is not in `" << text << "`";
}

Error failure_of(const Pool& pool, const std::string& function) {
  return pool.try_call<int>(function).error();
}

TEST(Forensics, ASegmentationFaultNamesItsLibraryAndThePythonStack) {
  Pool pool = start_pool({.workers = 1});

  const Error error = failure_of(pool, "crash");

  EXPECT_EQ(error.code, Code::worker_crashed);
  EXPECT_EQ(error.signal, SIGSEGV);
  EXPECT_TRUE(contains(error.likely_cause, "segmentation fault in `"));
  EXPECT_TRUE(contains(error.stack, "in crash"));
  EXPECT_EQ(error.call, "crash()");
  EXPECT_GT(error.peak_memory, 1'000'000u);
  EXPECT_GE(error.seconds, 0);
}

TEST(Forensics, AnAbortIsToldFromACrash) {
  Pool pool = start_pool({.workers = 1});

  const Error error = failure_of(pool, "abort");

  EXPECT_EQ(error.signal, SIGABRT);
  EXPECT_TRUE(contains(error.likely_cause, "abort"));
  EXPECT_TRUE(contains(error.stack, "in abort"));
}

TEST(Forensics, AnExitNamesItsStatus) {
  Pool pool = start_pool({.workers = 1});

  const auto outcome = pool.try_call<int>("exit_with", 7);

  EXPECT_EQ(outcome.error().exit_code, 7);
  EXPECT_EQ(outcome.error().signal, 0);
  EXPECT_TRUE(contains(outcome.error().likely_cause, "os._exit(7)"));
  EXPECT_EQ(outcome.error().call, "exit_with(7)");
}

TEST(Forensics, SigkillByAnotherProcessIsNamedAsThat) {
  Pool pool = start_pool({.workers = 1});

  const Error error = failure_of(pool, "kill_self");

  EXPECT_EQ(error.signal, SIGKILL);
  EXPECT_TRUE(contains(error.likely_cause, "SIGKILL"));
}

TEST(Forensics, LongArgumentsAreCut) {
  Pool pool = start_pool({.workers = 1});

  const auto outcome = pool.try_call<int>("kill_self", std::string(10'000, 'a'));

  EXPECT_LT(outcome.error().call.size(), 120u);
  EXPECT_TRUE(contains(outcome.error().call, "kill_self(\"aaa"));
}

TEST(Forensics, TheKernelsKillForWantOfMemoryIsNamed) {
  EXPECT_EQ(pool::likely_cause(SIGKILL, 1, "", true), "killed by the kernel for want of memory");
  EXPECT_EQ(base::counter_in("oom_kill_disable 0\noom_kill 12\n", "oom_kill"), 12u);
  EXPECT_EQ(base::counter_in("low 1\noom_kill 3", "oom_kill"), 3u);
  EXPECT_EQ(base::counter_in("", "oom_kill"), 0u);
}

TEST(Forensics, WhatAWorkerWroteIsQuotedNotBelieved) {
  const std::string lies =
      "pyhost: signal 11 in /x/" + std::string(100'000, 'y') + "\nFile \"a\"\n";

  EXPECT_LT(pool::likely_cause(SIGSEGV, 1, lies, false).size(), 300u);
  EXPECT_EQ(pool::stack_in(lies), "File \"a\"\n");
  EXPECT_TRUE(contains(pool::likely_cause(SIGSEGV, 1, "pyhost: signal 6 in /a.so\n", false),
                       "in native code"));
  EXPECT_TRUE(
      contains(pool::likely_cause(SIGSEGV, 1, "pyhost: signal 11 sent by process 5\n", false),
               "sent by process 5"));
}

TEST(Forensics, TextIsCutBetweenCharacters) {
  EXPECT_EQ(pool::cut_text("short", 80), "short");
  EXPECT_EQ(pool::cut_text("aaaaaé", 6), "aaa...");
  EXPECT_EQ(pool::cut_text("ééé", 5), "é...");
}

TEST(Stacks, ShowWhatEveryWorkerDoes) {
  Pool pool = start_pool({.workers = 3});
  const auto waits = pool.submit<int>("never_return", "x");
  const auto spins = pool.submit<int>("spin", 5);
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (pool.stats().in_flight < 2 || pool.stats().workers < 3) {
    ASSERT_LT(std::chrono::steady_clock::now(), limit);
    std::this_thread::yield();
  }
  EXPECT_FALSE(spins.wait_for(50ms));

  const auto stacks = pool.stacks(10s);

  ASSERT_GE(stacks.size(), 2u);
  const auto of = [&](const std::string& call) {
    const auto found = std::find_if(stacks.begin(), stacks.end(),
                                    [&](const WorkerStack& one) { return one.call == call; });
    return found == stacks.end() ? WorkerStack{} : *found;
  };
  EXPECT_TRUE(contains(of("never_return(\"x\")").stack, "in never_return"));
  EXPECT_TRUE(contains(of("spin(5)").stack, "in spin"));
  EXPECT_GT(of("spin(5)").seconds, 0.04);
  EXPECT_FALSE(waits.wait_for(0ms));
  EXPECT_TRUE(waits.cancel(true));
  EXPECT_TRUE(spins.cancel(true));
}

TEST(Stacks, OfThreadsAndCoroutinesComeEvenWhenOneHoldsTheGil) {
  Pool pool = start_pool({.workers = 1, .concurrency = 3});
  const auto waits = pool.submit<int>("wait_for_ever");
  EXPECT_FALSE(waits.wait_for(300ms));
  const auto before = pool.stacks(10s);
  const auto loops = pool.submit<int>("hold_the_gil");
  EXPECT_FALSE(loops.wait_for(300ms));

  const auto during = pool.stacks(10s);

  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before.front().call, "wait_for_ever()");
  EXPECT_TRUE(contains(before.front().stack, "wait_for_ever"));
  ASSERT_EQ(during.size(), 1u);
  EXPECT_TRUE(contains(during.front().call, "hold_the_gil()"));
  EXPECT_TRUE(contains(during.front().stack, "hold_the_gil"));
}

TEST(Stacks, OfALoopInCComeAndOfAStoppedWorkerDoNot) {
  Pool pool = start_pool({.workers = 2});
  const auto loops = pool.submit<int>("hold_the_gil");
  const auto stopped = pool.submit<int>("stop_self");
  EXPECT_FALSE(loops.wait_for(200ms));

  std::vector<WorkerStack> stacks;
  const auto limit = std::chrono::steady_clock::now() + 20s;
  const auto looks = [&](const std::string& call) {
    return std::find_if(stacks.begin(), stacks.end(),
                        [&](const WorkerStack& one) { return one.call == call; });
  };
  do {
    stacks = pool.stacks(500ms);
  } while ((looks("hold_the_gil()") == stacks.end() || looks("stop_self()") == stacks.end()) &&
           std::chrono::steady_clock::now() < limit);

  ASSERT_NE(looks("hold_the_gil()"), stacks.end());
  ASSERT_NE(looks("stop_self()"), stacks.end());
  EXPECT_TRUE(contains(looks("hold_the_gil()")->stack, "in hold_the_gil"));
  EXPECT_EQ(looks("stop_self()")->stack, "");
}

}  // namespace
}  // namespace pyhost::tests
