// storm_test.cc: workers, zygotes and watchers are killed at random, round after round, while calls
// of every size and kind are under way. Every call settles once, nothing runs twice unless it may,
// and nothing is left.
//
// PYHOST_STORM_ROUNDS sets how long; the output of one that failed says how to replay it.
// scripts/storm runs long ones.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <set>
#include <thread>

#include "../parent_of.h"
#include "storm_load.h"

namespace pyhost::tests {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kRoundsPerPool = 50;

unsigned number_from(const char* variable, unsigned otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : otherwise;
}

std::set<std::string> names_in(const char* folder) {
  std::set<std::string> names;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(folder, gone)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

std::size_t open_descriptors() {
  return names_in("/proc/self/fd").size();
}

// Collects children that ended; whether there is none any more.
bool childless() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
  return waitpid(-1, nullptr, WNOHANG) < 0;
}

bool comes_true(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + 10s;
  while (!condition()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Kinds of pools that take turns.
PoolOptions some_pool(Random& random) {
  PoolOptions options{.script = kVictims + "storm_script.py", .workers = 3};
  switch (random() % 6) {
    case 0:
      options.concurrency = 4;
      break;
    case 1:
      options.max_tasks_per_worker = 20;
      break;
    case 2:
      options.workers = {1, 4};
      break;
    case 3:
      options.initializer = "prepare";
      break;
    case 4:
      options.memory = std::uint64_t{512} << 20;
      break;
    default:
      break;
  }
  return options;
}

// Kills a process of the pool: mostly a worker, now and then the zygote or the watcher.
void kill_one(const Pool& pool, Random& random) {
  const std::vector<pid_t> workers = pool.stats().pids;
  // One is left to work: killing the last before it is ready, again and again, is a crash loop.
  if (workers.size() < 2) return;
  pid_t victim = workers[random() % workers.size()];
  const unsigned die = random() % 40;
  if (die < 3) victim = parent_of(victim);
  if (die < 1) victim = parent_of(victim);
  // A worker whose zygote died has init, or us, as its parent.
  if (victim > 1 && victim != getpid()) kill(victim, SIGKILL);
}

void play_round(Pool& pool, Random& random, const std::string& log, bool coroutines) {
  Round round(pool, random, log, coroutines);
  round.submit_some();
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
  kill_one(pool, random);
  if (random() % 4 == 0) round.cancel_some();
  if (random() % 8 == 0) round.map_some();
  if (random() % 8 == 0) round.broadcast();
  if (random() % 4 == 0) kill_one(pool, random);
  round.settle_all();
}

TEST(Storm, SettlesEveryCallOnceAndLeavesNothing) {
  const unsigned rounds = number_from("PYHOST_STORM_ROUNDS", 150);
  const unsigned seed = number_from("PYHOST_STORM_SEED", std::random_device()());
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // orphans become ours, and are seen
  const auto shared_before = names_in("/dev/shm");
  start_pool();  // what is opened once and kept is open now
  ASSERT_TRUE(comes_true(childless));
  const std::size_t descriptors = open_descriptors();

  for (unsigned first = 0; first < rounds && !testing::Test::HasFailure();
       first += kRoundsPerPool) {
    SCOPED_TRACE("replay with PYHOST_STORM_ROUNDS=" + std::to_string(kRoundsPerPool) +
                 " PYHOST_STORM_SEED=" + std::to_string(seed + first));
    Random random(seed + first);
    {
      const TempFolder folder;
      const PoolOptions options = some_pool(random);
      SCOPED_TRACE("workers " + std::to_string(options.workers.min) + " to " +
                   std::to_string(options.workers.max) + ", concurrency " +
                   std::to_string(options.concurrency) + ", recycled after " +
                   std::to_string(options.max_tasks_per_worker) + ", memory " +
                   std::to_string(options.memory) + ", initializer `" + options.initializer + "`");
      Pool pool = start_pool(options);
      for (unsigned i = first; i < std::min(first + kRoundsPerPool, rounds); ++i) {
        SCOPED_TRACE("round " + std::to_string(i));
        play_round(pool, random, folder.file(std::to_string(i)), options.concurrency > 1);
        if (testing::Test::HasFailure()) break;
      }
    }
    EXPECT_TRUE(comes_true(childless)) << "processes are left";
    EXPECT_TRUE(comes_true([&] { return open_descriptors() <= descriptors; }))
        << open_descriptors() << " descriptors, " << descriptors << " before";
  }
  for (const std::string& name : names_in("/dev/shm")) {
    EXPECT_TRUE(shared_before.contains(name)) << name << " is left in /dev/shm";
  }
}

}  // namespace
}  // namespace pyhost::tests
