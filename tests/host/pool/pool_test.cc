// What an application sees of a pool.
#include <pthread.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <numeric>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#include "pool_fixture.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;

TEST(Call, ReturnsTheValueOfTheFunction) {
  Pool pool = start_pool();

  EXPECT_EQ(pool.call<int>("square", 7), 49);
  EXPECT_EQ(pool.call<std::string>("echo", "grüße \U0001F40D"), "grüße \U0001F40D");
  EXPECT_EQ(pool.call<std::vector<int>>("echo", std::vector{1, 2, 3}), (std::vector{1, 2, 3}));
}

TEST(Call, PassesKeywordsThroughKwargs) {
  Pool pool = start_pool();

  EXPECT_EQ(pool.call<int>("add", 1, kwargs{{"b", 2}, {"weight", 10}}), 30);
}

TEST(Call, ReachesImportableFunctionsByDottedName) {
  Pool pool = start_pool();

  EXPECT_DOUBLE_EQ(pool.call<double>("math.sqrt", 2.25), 1.5);
}

TEST(Call, KeepsFloatsFloatsAndIntegersIntegers) {
  Pool pool = start_pool();

  const auto whole = pool.call<nlohmann::json>("whole_float");

  EXPECT_TRUE(whole.is_number_float());
  EXPECT_EQ(pool.try_call<int>("half_float").error().code, Code::marshal);
  EXPECT_EQ(pool.call<std::uint64_t>("echo", std::uint64_t{18446744073709551615u}),
            18446744073709551615u);
}

TEST(Call, RefusesAnIntegerThatTheTypeCannotHold) {
  Pool pool = start_pool();

  EXPECT_EQ(pool.try_call<std::int64_t>("big_integer").error().code, Code::marshal);
  EXPECT_EQ(pool.try_call<nlohmann::json>("big_integer").error().code, Code::marshal);
  EXPECT_EQ(pool.try_call<signed char>("echo", 300).error().code, Code::marshal);
  EXPECT_NE(std::string(pool.try_call<signed char>("echo", 300).error().what()).find("300"),
            std::string::npos);
}

TEST(Call, RefusesToSendNumbersThatJsonCannotCarry) {
  Pool pool = start_pool();

  const auto result = pool.try_call<double>("echo", std::numeric_limits<double>::quiet_NaN());

  EXPECT_EQ(result.error().code, Code::marshal);
}

TEST(Call, NamesThePlaceOfAResultThatJsonCannotCarry) {
  Pool pool = start_pool();

  const auto result = pool.try_call<nlohmann::json>("a_set");

  EXPECT_EQ(result.error().code, Code::marshal);
  EXPECT_NE(result.error().message.find("set"), std::string::npos) << result.error().message;
}

TEST(Call, CarriesPayloadsMuchLargerThanTheRing) {
  Pool pool = start_pool();
  const std::string text(5'000'000, 'y');

  EXPECT_EQ(pool.call<std::string>("text", 5'000'000).size(), 5'000'000u);
  EXPECT_EQ(pool.call<std::string>("echo", text), text);
}

long shared_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssShmem:")) return std::stol(line.substr(9));
  }
  return -1;
}

TEST(Memory, GoesBackAfterLargeCalls) {
  Pool pool = start_pool({.workers = 1});
  const std::string text(20'000'000, 'y');

  EXPECT_EQ(pool.call<std::string>("echo", text).size(), text.size());

  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (shared_kib() > 8 * 1024 && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_LT(shared_kib(), 8 * 1024);
}

TEST(Fork, LeavesTheCopyWithoutAPoolAndTheOriginalUnharmed) {
  Pool pool = start_pool();
  const int before = pool.call<int>("square", 3);

  const pid_t copy = fork();
  if (copy == 0) {
    const bool refused = !pool.try_call<int>("square", 3).ok();
    { const Pool dead = std::move(pool); }
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(copy, &status, 0), copy);

  EXPECT_EQ(status, 0);
  EXPECT_EQ(pool.call<int>("square", 3), before);
}

TEST(PythonError, CarriesTypeMessageTracebackFramesAndCause) {
  Pool pool = start_pool();

  const auto result = pool.try_call<int>("fail_with_cause");

  ASSERT_FALSE(result.ok());
  const Error& error = result.error();
  EXPECT_EQ(error.code, Code::python_error);
  EXPECT_EQ(error.type, "RuntimeError");
  EXPECT_EQ(error.message, "no such thing");
  EXPECT_NE(error.traceback.find("KeyError"), std::string::npos);
  ASSERT_FALSE(error.frames.empty());
  EXPECT_EQ(error.frames.back().function, "fail_with_cause");
  EXPECT_NE(error.frames.back().file.find("pool_script.py"), std::string::npos);
  ASSERT_TRUE(error.cause);
  EXPECT_EQ(error.cause->type, "KeyError");
  EXPECT_NE(std::string(error.what()).find("RuntimeError"), std::string::npos);
}

TEST(PythonError, IsThrownByCall) {
  Pool pool = start_pool();

  try {
    pool.call<int>("fail", "as planned");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.type, "ValueError");
    EXPECT_EQ(error.message, "as planned");
  }
}

TEST(PythonError, OfAMissingFunctionSuggestsTheClosestName) {
  Pool pool = start_pool();

  const auto result = pool.try_call<int>("sqare", 3);

  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("square"), std::string::npos) << result.error().message;
}

TEST(Future, CanBePolledAndWaitedForWithALimit) {
  Pool pool = start_pool();

  const Future<double> slow = pool.submit<double>("nap", 0.3);

  EXPECT_FALSE(slow.wait_for(1ms));
  EXPECT_TRUE(slow.wait_for(20s));
  EXPECT_DOUBLE_EQ(slow.get(), 0.3);
}

TEST(Future, RunsContinuationsOnTheSupervisorWhereWaitingIsAnError) {
  Pool pool = start_pool();
  std::atomic<int> answer = 0;
  std::atomic<Code> waiting = Code::python_error;

  const Future<int> first = pool.submit<int>("square", 5);
  first.then([&](Result<int> result) {
    waiting = pool.try_call<int>("square", 2).error().code;
    answer = *result;
  });

  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (answer == 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(answer, 25);
  EXPECT_EQ(waiting, Code::cancelled);
}

TEST(Future, OutlivesItsPoolAsCancelled) {
  Future<int> orphan;
  {
    Pool pool = start_pool({.workers = 1});
    orphan = pool.submit<int>("never_return");
  }

  EXPECT_EQ(orphan.try_get().error().code, Code::cancelled);
}

TEST(Future, TakesBackACallThatHasNotStarted) {
  Pool pool = start_pool({.workers = 1});
  const TempFolder folder;
  const Future<double> busy = pool.submit<double>("nap", 0.3);
  std::vector<Future<std::string>> queued;
  for (int i = 0; i < 100; ++i) {
    queued.push_back(pool.submit<std::string>("record", folder.file("ran"), std::to_string(i)));
  }

  for (const auto& future : queued) EXPECT_TRUE(future.cancel());

  for (const auto& future : queued) EXPECT_EQ(future.try_get().error().code, Code::cancelled);
  EXPECT_DOUBLE_EQ(busy.get(), 0.3);
  EXPECT_FALSE(std::filesystem::exists(folder.file("ran")));
}

TEST(Future, StopsARunningCallOnlyWhenForced) {
  Pool pool = start_pool({.workers = 1});
  const int before = pool.call<int>("pid");
  const Future<int> stuck = pool.submit<int>("never_return");
  while (pool.stats().busy == 0) std::this_thread::yield();
  EXPECT_FALSE(stuck.wait_for(20ms));

  EXPECT_FALSE(stuck.cancel());
  EXPECT_TRUE(stuck.cancel(true));

  EXPECT_EQ(stuck.try_get().error().code, Code::cancelled);
  EXPECT_EQ(pool.call<int>("pid"), before);  // it stopped when it was asked to
}

TEST(Timeout, EndsOneCallAndLeavesTheOthersAlone) {
  Pool pool = start_pool();
  const Future<int> stuck = pool.with({.timeout = 100ms}).submit<int>("never_return");
  std::vector<Future<int>> others;
  for (int i = 0; i < 50; ++i) others.push_back(pool.submit<int>("square", i));

  const auto outcome = stuck.try_get();

  EXPECT_EQ(outcome.error().code, Code::timeout);
  EXPECT_NE(outcome.error().message.find("never_return"), std::string::npos);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), i * i);
}

TEST(Timeout, CountsFromTheStartOfEachCallOfABatch) {
  Pool pool = start_pool({.workers = 1, .timeout = 300ms});
  std::vector<double> naps(10, 0.1);

  int good = 0;
  for (auto& result : pool.map<double>("nap", naps)) good += result.ok() ? 1 : 0;

  EXPECT_EQ(good, 10);
}

TEST(WorkerDeath, FailsOnlyTheTaskThatWasRunningOnTheDeadWorker) {
  Pool pool = start_pool();
  const auto doomed = pool.submit<int>("kill_self");
  const auto bystander = pool.submit<int>("square", 7);

  const auto outcome = doomed.try_get();

  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::worker_crashed);
  EXPECT_EQ(outcome.error().signal, SIGKILL);
  EXPECT_NE(outcome.error().message.find("SIGKILL"), std::string::npos) << outcome.error().message;
  EXPECT_NE(outcome.error().message.find("kill_self"), std::string::npos);
  EXPECT_EQ(bystander.get(), 49);
}

TEST(WorkerDeath, ByExitingWithZeroIsNeverASuccess) {
  Pool pool = start_pool();

  const auto outcome = pool.try_call<int>("exit_zero");

  EXPECT_EQ(outcome.error().code, Code::worker_crashed);
  EXPECT_EQ(outcome.error().exit_code, 0);
}

TEST(WorkerDeath, BringsTheLastLinesOfStderr) {
  Pool pool = start_pool();

  const auto outcome = pool.try_call<int>("complain", "the disk is on fire");

  EXPECT_NE(outcome.error().stderr_tail.find("the disk is on fire"), std::string::npos);
}

TEST(Protocol, AWorkerThatBreaksItIsReplacedAndTheOthersGoOn) {
  Pool pool = start_pool();
  const auto doomed = pool.submit<int>("scribble", 64, 4);  // how far it has written
  std::vector<Future<int>> others;
  for (int i = 0; i < 50; ++i) others.push_back(pool.submit<int>("square", i));

  EXPECT_EQ(doomed.try_get().error().code, Code::protocol);

  for (int i = 0; i < 50; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), i * i);
}

TEST(Protocol, ResultsOfACodecThatWasNotAskedForAreNotBelieved) {
  for (const int codec : {3, 4}) {
    Pool pool = start_pool({.workers = 1});

    const auto doomed = pool.try_call<int>("forge", codec);

    ASSERT_FALSE(doomed.ok());
    EXPECT_EQ(doomed.error().code, Code::protocol);
    EXPECT_NE(doomed.error().message.find("codec"), std::string::npos) << doomed.error().message;
    EXPECT_EQ(pool.call<int>("square", 5), 25);
  }
}

TEST(Protocol, CallsOfAWorkerWhoseClaimsMakeNoSenseAreNotRunAgain) {
  Pool pool = start_pool();
  const TempFolder folder;
  std::vector<Future<int>> doomed;
  for (int i = 0; i < 4; ++i) doomed.push_back(pool.submit<int>("scribble", 0, 4096));

  for (const auto& future : doomed) EXPECT_EQ(future.try_get().error().code, Code::protocol);

  EXPECT_EQ(pool.call<int>("square", 5), 25);
}

TEST(WorkerDeath, LosesNoLargeCallThatWaitedBehindTheOneThatDied) {
  Pool pool = start_pool({.workers = 1});
  for (int i = 0; i < 200; ++i)
    pool.call<int>("echo", i);  // short, so that calls wait with the worker
  const std::string text(200'000, 'z');
  const auto doomed = pool.submit<int>("kill_self");
  std::vector<Future<std::string>> behind;
  for (int i = 0; i < 8; ++i) behind.push_back(pool.submit<std::string>("echo", text));

  EXPECT_EQ(doomed.try_get().error().code, Code::worker_crashed);

  for (const auto& future : behind) EXPECT_EQ(future.get(), text);
}

TEST(WorkerDeath, InABatchLosesOnlyTheClaimedItemAndRunsNothingTwice) {
  Pool pool = start_pool();
  const TempFolder folder;
  std::vector<std::tuple<std::string, int, bool>> inputs;
  for (int i = 0; i < 3000; ++i) inputs.emplace_back(folder.file("ran"), i, i % 500 == 250);

  int index = 0;
  for (auto& result : pool.map<int>("record_or_die", inputs)) {
    if (index % 500 == 250) {
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code, Code::worker_crashed);
    } else {
      ASSERT_TRUE(result.ok()) << result.error().what();
      EXPECT_EQ(*result, index);
    }
    ++index;
  }

  EXPECT_EQ(index, 3000);
  std::map<int, int> runs;
  std::ifstream ran(folder.file("ran"));
  for (int line = 0; ran >> line;) ++runs[line];
  EXPECT_EQ(runs.size(), 3000u);
  for (const auto& [line, count] : runs) EXPECT_EQ(count, 1) << "item " << line;
}

TEST(Map, KeepsTheOrderOfItsInputs) {
  Pool pool = start_pool();

  std::int64_t expected = 0;
  for (auto& result : pool.map<std::int64_t>("square", std::views::iota(0, 20000))) {
    ASSERT_TRUE(result.ok()) << result.error().what();
    ASSERT_EQ(*result, expected * expected);
    ++expected;
  }
  EXPECT_EQ(expected, 20000);
}

TEST(Map, UnorderedReturnsEveryResultOnce) {
  Pool pool = start_pool();

  std::set<int> seen;
  for (auto& result : pool.map<int>("echo", std::views::iota(0, 5000), {.ordered = false})) {
    EXPECT_TRUE(seen.insert(*result).second);
  }
  EXPECT_EQ(seen.size(), 5000u);
}

TEST(Map, ReadsItsInputsABoundedNumberAhead) {
  Pool pool = start_pool();
  int read = 0;
  int taken = 0;
  int furthest = 0;
  auto inputs = std::views::iota(0) | std::views::transform([&](int i) {
                  furthest = std::max(furthest, ++read - taken);
                  return i;
                });

  for (auto& result : pool.map<int>("echo", inputs, {.window = 64})) {
    ASSERT_EQ(*result, taken);
    if (++taken == 1000) break;
  }

  EXPECT_LE(furthest, 65);
}

TEST(Map, GivesEachFailureItsPlace) {
  Pool pool = start_pool();
  const std::vector<nlohmann::json> inputs = {1, "two", 3};

  std::vector<bool> good;
  for (auto& result : pool.map<int>("square", inputs)) good.push_back(result.ok());

  EXPECT_EQ(good, (std::vector<bool>{true, false, true}));
}

TEST(Map, TakesTheFollowersOfALongItemBack) {
  Pool pool = start_pool();
  const TempFolder folder;
  std::vector<std::tuple<std::string, int, int>> inputs(2000, {folder.file("none"), 1, 2});
  for (auto& quick : pool.map<int>("long_one", inputs)) ASSERT_TRUE(quick.ok());
  inputs.clear();
  for (int i = 0; i < 64; ++i) inputs.emplace_back(folder.file("last"), i, 63);

  int index = 0;
  for (auto& result : pool.map<int>("long_one", inputs, {.window = 64})) {
    ASSERT_TRUE(result.ok()) << result.error().what();
    EXPECT_EQ(*result, index++);
  }
  EXPECT_EQ(index, 64);
}

TEST(Threads, CanShareOnePool) {
  Pool pool = start_pool();
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < 8; ++t) {
      callers.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          if (pool.call<int>("square", t * 1000 + i) != (t * 1000 + i) * (t * 1000 + i)) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Drain, WaitsForWhatWasSubmittedAndAcceptsNothingNew) {
  Pool pool = start_pool();
  std::vector<Future<int>> futures;
  for (int i = 0; i < 500; ++i) futures.push_back(pool.submit<int>("square", i));

  EXPECT_TRUE(pool.drain(20s));

  for (int i = 0; i < 500; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i * i);
  EXPECT_EQ(pool.try_call<int>("square", 1).error().code, Code::cancelled);
  EXPECT_EQ(pool.stats().workers, 0);
}

TEST(Drain, CancelsWhatIsLeftAtItsLimit) {
  Pool pool = start_pool();
  const Future<int> stuck = pool.submit<int>("never_return");

  EXPECT_FALSE(pool.drain(50ms));

  EXPECT_EQ(stuck.try_get().error().code, Code::cancelled);
}

TEST(Start, GivesWorkersAnInterpreterEachWhenTheScriptStartsAThread) {
  Pool pool = start_pool({.script = kVictims + "starts_thread.py"});

  for (auto& result : pool.map<bool>("has_thread", std::views::iota(0, 20))) {
    ASSERT_TRUE(result.ok()) << result.error().what();
    EXPECT_TRUE(*result);
  }
}

TEST(Start, RefusesAScriptThatIsNotThere) {
  const auto pool = try_start({.script = kVictims + "pool_scripd.py"});

  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code, Code::startup);
  EXPECT_NE(pool.error().message.find("pool_script.py"), std::string::npos) << pool.error().message;
}

TEST(Start, RefusesAScriptThatRaises) {
  const TempFolder folder;
  std::ofstream(folder.file("bad.py")) << "1 / 0\n";

  const auto pool = try_start({.script = folder.file("bad.py")});

  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code, Code::startup);
  EXPECT_EQ(pool.error().type, "ZeroDivisionError");
}

TEST(Start, FailsWithAdviceWhenThereCanBeNoMoreThreads) {
  pthread_attr_t usual;
  pthread_attr_t too_large;  // stacks that the address space has no room for
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_getattr_default_np(&too_large), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&too_large, std::size_t{1} << 47), 0);

  ASSERT_EQ(pthread_setattr_default_np(&too_large), 0);
  const auto pool = try_start({.script = kVictims + "pool_script.py"});
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);

  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code, Code::startup);
  EXPECT_NE(pool.error().message.find("starting the pool's thread"), std::string::npos);
  EXPECT_NE(pool.error().message.find("ulimit -u"), std::string::npos) << pool.error().message;
  EXPECT_EQ(start_pool().call<int>("square", 3), 9);
}

TEST(Start, RefusesNamesItDoesNotKnow) {
  EXPECT_EQ(try_start({.image = "docker"}).error().code, Code::startup);
  EXPECT_EQ(try_start({.start = "fork"}).error().code, Code::startup);
  EXPECT_EQ(try_start({.python = "/nowhere/python3"}).error().code, Code::startup);
}

TEST(Start, MethodSpawnWorksLikeZygote) {
  Pool pool = start_pool({.start = "spawn"});

  EXPECT_EQ(pool.call<int>("square", 6), 36);
  EXPECT_EQ(pool.try_call<int>("kill_self").error().code, Code::worker_crashed);
  EXPECT_EQ(pool.call<int>("square", 6), 36);
}

TEST(Drain, MayBeAskedForByTwoThreadsAtOnce) {
  Pool pool = start_pool();
  const Future<double> busy = pool.submit<double>("nap", 0.1);
  std::atomic<int> clean = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] { clean += pool.drain(20s) ? 1 : 0; });
    }
  }

  EXPECT_EQ(clean, 3);
  EXPECT_DOUBLE_EQ(busy.get(), 0.1);
}

TEST(Drain, IsRefusedInAContinuationWhichWouldWaitForItself) {
  Pool pool = start_pool();
  std::atomic<int> drained = -1;

  pool.submit<int>("square", 2).then([&](const auto&) { drained = pool.drain(20s) ? 1 : 0; });

  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (drained < 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(drained, 0);
  EXPECT_EQ(pool.call<int>("square", 3), 9);
}

TEST(Future, RunsContinuationsOfAPoolThatHasEnded) {
  Pool pool = start_pool();
  const Future<int> done = pool.submit<int>("square", 4);
  done.get();
  pool.drain(20s);
  int answer = 0;

  done.then([&](const Result<int>& result) { answer = *result; });

  EXPECT_EQ(answer, 16);
}

TEST(Timeout, OfAllTimeIsNone) {
  Pool pool = start_pool();

  EXPECT_EQ(pool.with({.timeout = std::chrono::nanoseconds::max()}).call<int>("square", 3), 9);

  const auto later = pool.with({.timeout = 50ms}).try_call<int>("never_return");
  EXPECT_EQ(later.error().code, Code::timeout);
}

TEST(Stats, CountWhatHappened) {
  Pool pool = start_pool();
  for (int i = 0; i < 10; ++i) pool.call<int>("square", i);
  EXPECT_FALSE(pool.try_call<int>("kill_self").ok());

  const PoolStats stats = pool.stats();

  EXPECT_EQ(stats.settled, 11u);
  EXPECT_EQ(stats.failed, 1u);
  EXPECT_EQ(stats.crashes, 1u);
  EXPECT_EQ(stats.queued, 0u);
  EXPECT_EQ(stats.in_flight, 0u);
}

}  // namespace
}  // namespace pyhost::tests
