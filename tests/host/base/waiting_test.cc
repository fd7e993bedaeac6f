// Deadlines and futexes.
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <thread>

#include <gtest/gtest.h>

#include <base/clock.h>
#include <base/futex.h>
#include <base/memory.h>

namespace pyhost::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DeadlineTest, NeverHasNoEnd) {
  EXPECT_TRUE(Deadline::never().endless());
  EXPECT_FALSE(Deadline::never().passed());
  EXPECT_EQ(Deadline::never().left_ms(), -1);
  EXPECT_TRUE(Deadline::in(Duration::max()).endless());
}

TEST(DeadlineTest, IsRoundedUpForPoll) {
  EXPECT_EQ(Deadline::in(Duration(0)).left_ms(), 0);
  EXPECT_EQ(Deadline::at(now() - seconds(5)).left_ms(), 0);
  const Deadline between = Deadline::in(seconds(1) + std::chrono::microseconds(900));
  const milliseconds left(between.left_ms());
  EXPECT_GE(left, between.moment() - now());  // a poll of so long does not end before
  EXPECT_LE(left, milliseconds(1001));
  EXPECT_EQ(Deadline::in(std::chrono::hours(24 * 365)).left_ms(), INT_MAX);
}

TEST(FutexTest, ReturnsAtOnceWhenTheWordIsDifferent) {
  const std::atomic<std::uint32_t> word{1};

  EXPECT_TRUE(futex_wait(word, 0, Deadline::never(), Sharing::one_process));
}

TEST(FutexTest, SaysWhenTheDeadlinePassed) {
  const std::atomic<std::uint32_t> word{0};
  const Deadline deadline = Deadline::in(milliseconds(5));
  while (futex_wait(word, 0, deadline, Sharing::one_process)) {
  }

  EXPECT_TRUE(deadline.passed());
}

TEST(FutexTest, WakesASleeperOfTheSameProcess) {
  std::atomic<std::uint32_t> word{0};
  const Deadline deadline = Deadline::in(seconds(20));

  std::thread sleeper([&] {
    while (word == 0 && futex_wait(word, 0, deadline, Sharing::one_process)) {
    }
  });
  word = 1;
  futex_wake(word, 1, Sharing::one_process);
  sleeper.join();

  EXPECT_FALSE(deadline.passed());
}

TEST(FutexTest, WakesASleeperOfAnotherProcessThatMayOnlyRead) {
  const UniqueFd fd = create_memory("test", 4096).value_or_throw();
  const Mapping ours = Mapping::map(fd.get(), 4096, Access::read_write).value_or_throw();
  const UniqueFd reader = reopen_read_only(fd.get()).value_or_throw();
  auto& word = *new (ours.data()) std::atomic<std::uint32_t>(0);

  const pid_t pid = fork();
  if (pid == 0) {
    const auto view = Mapping::map(reader.get(), 4096, Access::read_only).value_or_throw();
    const auto& seen = *reinterpret_cast<const std::atomic<std::uint32_t>*>(view.data());
    const Deadline deadline = Deadline::in(seconds(20));
    while (seen == 0 && futex_wait(seen, 0, deadline, Sharing::processes)) {
    }
    _exit(seen == 1 ? 0 : 1);
  }
  word = 1;
  futex_wake(word, 1, Sharing::processes);
  int status = -1;
  waitpid(pid, &status, 0);

  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace pyhost::base
