// limits_test.cc: what calls and workers may take, as options say it.
#include <cli/command_line.h>
#include <cli/limits.h>
#include <cli/pool_settings.h>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pyhost::cli;

namespace {

using Strings = std::vector<std::string>;
constexpr std::uint64_t kMiB = 1 << 20;

pyhost::Result<pyhost::PoolOptions> options_of(Strings words) {
  words.emplace_back("a.py:f");
  const CommandLine line = parse_command_line(Command::map, words).value();
  return pool_options(line.options, {"a.py", "", "f"});
}

std::string refusal(const Strings& words) {
  const auto pool = options_of(words);
  return pool.ok() ? "" : pool.error().message;
}

}  // namespace

TEST(Limits, AreFilledFromTheOptions) {
  const pyhost::PoolOptions pool = options_of({"--timeout",
                                               "2",
                                               "--cpu",
                                               "500ms",
                                               "--grace",
                                               "0",
                                               "--retries",
                                               "3",
                                               "--retry-on",
                                               "crashed,OSError",
                                               "--memory",
                                               "64M",
                                               "--concurrency",
                                               "8",
                                               "--threads-per-worker",
                                               "2",
                                               "--max-tasks-per-worker",
                                               "100",
                                               "--max-worker-age",
                                               "1h",
                                               "--max-worker-memory",
                                               "32M",
                                               "--idle",
                                               "5",
                                               "-j",
                                               "1:4",
                                               "--init",
                                               "prepare"})
                                       .value();

  EXPECT_EQ(pool.timeout, 2s);
  EXPECT_EQ(pool.cpu, 500ms);
  EXPECT_EQ(pool.grace, 0s);
  EXPECT_EQ(pool.retries, 3);
  EXPECT_EQ(pool.retry_on, Strings({"crashed", "OSError"}));
  EXPECT_EQ(pool.memory, 64 * kMiB);
  EXPECT_EQ(pool.concurrency, 8);
  EXPECT_EQ(pool.threads_per_worker, 2);
  EXPECT_EQ(pool.max_tasks_per_worker, 100U);
  EXPECT_EQ(pool.max_worker_age, 1h);
  EXPECT_EQ(pool.max_worker_memory, 32 * kMiB);
  EXPECT_EQ(pool.idle_time, 5s);
  EXPECT_EQ(pool.workers, pyhost::WorkerCount(1, 4));
  EXPECT_EQ(pool.initializer, "prepare");
}

TEST(Limits, ThatAreNotGivenAreThoseOfEveryPool) {
  const pyhost::PoolOptions pool = options_of({}).value();

  EXPECT_EQ(pool.timeout, std::nullopt);
  EXPECT_EQ(pool.memory, 0U);
  EXPECT_EQ(pool.retries, 0);
  EXPECT_EQ(pool.concurrency, 1);
  EXPECT_EQ(pool.idle_time, pyhost::PoolOptions().idle_time);
}

TEST(Limits, ThatMakeNoSenseNameOptionValueAndWhatIsAllowed) {
  EXPECT_EQ(refusal({"--retries", "-1"}),
            "`--retries -1` is no whole number; write one from 0 to 1000000");
  EXPECT_EQ(refusal({"--concurrency", "0"}),
            "`--concurrency 0` is out of range; write one from 1 to 10000");
  EXPECT_EQ(refusal({"--cpu", "0"}),
            "`--cpu 0` leaves no time at all; write seconds (2, 0.5) or a unit (500ms, 2s, 1m, "
            "1h)");
  EXPECT_EQ(refusal({"--retry-on", "OSError"}),
            "`--retry-on` says for what, not how often; add `--retries N`");
  EXPECT_NE(refusal({"--init", "two words"}).find("`--init two words`"), std::string::npos);
}

TEST(Memory, IsBetweenWhatAnInterpreterNeedsAndWhatThereIs) {
  EXPECT_EQ(parse_memory("memory", "1G", 2048 * kMiB).value(), 1024 * kMiB);
  EXPECT_EQ(parse_memory("memory", "15M", 2048 * kMiB).error().message,
            "`--memory 15M` is 15 MiB, too little for an interpreter; the least is 16 MiB");
  EXPECT_EQ(parse_memory("memory", "3G", 2048 * kMiB).error().message,
            "`--memory 3G` is more than the 2 GiB this machine or container has; it would never be "
            "reached");
}

TEST(RetryOn, TakesKindsAndNamesOfExceptions) {
  EXPECT_EQ(
      parse_retry_on({"crashed,timeout", "OSError", "json.JSONDecodeError,socket.timeout"}).value(),
      Strings({"crashed", "timeout", "OSError", "json.JSONDecodeError", "socket.timeout"}));
  EXPECT_TRUE(parse_retry_on({}).value().empty());
}

TEST(RetryOn, RefusesWhatIsNeverRetriedAndShowsTheKindThatWasMeant) {
  EXPECT_NE(parse_retry_on({"cancelled"}).error().message.find("never retried"), std::string::npos);
  EXPECT_EQ(parse_retry_on({"timout"}).error().message,
            "`--retry-on timout` is no kind of failure; did you mean `timeout`?");
  EXPECT_FALSE(parse_retry_on({"not a name"}).ok());
  EXPECT_FALSE(parse_retry_on({","}).ok());
}

TEST(PoolDefaults, CarryEveryLimitThatWasGiven) {
  const CommandLine line = parse_command_line(Command::run, Strings{"-j",
                                                                    "0:4",
                                                                    "--cpu",
                                                                    "2",
                                                                    "--grace",
                                                                    "0.5",
                                                                    "--retries",
                                                                    "1",
                                                                    "--retry-on",
                                                                    "timeout",
                                                                    "--memory",
                                                                    "64M",
                                                                    "--concurrency",
                                                                    "3",
                                                                    "--threads-per-worker",
                                                                    "1",
                                                                    "--max-tasks-per-worker",
                                                                    "9",
                                                                    "--max-worker-age",
                                                                    "60",
                                                                    "--idle",
                                                                    "7"})
                               .value();

  const auto defaults = nlohmann::json::parse(pool_defaults_json(line.options).value());

  EXPECT_EQ(defaults, nlohmann::json::parse(R"({
    "workers": 4, "min_workers": 0, "start": null, "timeout": null, "cpu": 2.0, "grace": 0.5,
    "retries": 1, "retry_on": ["timeout"], "memory": 67108864, "concurrency": 3,
    "threads_per_worker": 1, "max_tasks_per_worker": 9, "max_worker_age": 60.0,
    "idle_time": 7.0})"));
}
