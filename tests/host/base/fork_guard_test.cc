// Descriptors of the host, and processes forked from it.
#include <base/fork_guard.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <base/memory.h>

namespace pyhost::base {
namespace {

// What `look` says in a process forked now.
bool in_a_fork(const std::function<bool()>& look) {
  const pid_t pid = fork();
  if (pid == 0) _exit(look() ? 0 : 1);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

HostFd some_fd() {
  return HostFd(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
}

TEST(HostFdTest, IsClosedInForkedProcessesAndNowhereElse) {
  HostFd guarded = some_fd();
  const UniqueFd plain(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = guarded.get();

  EXPECT_TRUE(in_a_fork([&] { return !is_open(number) && is_open(plain.get()); }));

  EXPECT_TRUE(is_open(number));
}

TEST(HostFdTest, IsEmptyInTheCopy) {
  HostFd guarded = some_fd();

  EXPECT_TRUE(in_a_fork([&] { return !guarded && guarded.get() == -1; }));
}

TEST(HostFdTest, DroppedInTheCopyLeavesTheNumbersNextOwnerAlone) {
  HostFd guarded = some_fd();
  const int number = guarded.get();

  EXPECT_TRUE(in_a_fork([&] {
    const UniqueFd next(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (next.get() != number) return false;
    guarded.reset();
    return is_open(number);
  }));
}

TEST(HostFdTest, StaysGuardedWhenMoved) {
  HostFd first = some_fd();
  const int number = first.get();
  HostFd second = std::move(first);
  HostFd third;
  third = std::move(second);

  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(in_a_fork([&] { return !is_open(number); }));
  third.reset();
  EXPECT_FALSE(is_open(number));
}

TEST(HostFdTest, ClosesNothingAfterItWasDropped) {
  HostFd guarded = some_fd();
  const int number = guarded.get();
  guarded.reset();
  const UniqueFd next(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(next.get(), number);

  EXPECT_TRUE(in_a_fork([&] { return is_open(number); }));
}

TEST(HostFdTest, SurvivesForksWhileOtherThreadsOpenAndClose) {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!done) some_fd().reset();
    });
  }

  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(in_a_fork([] { return static_cast<bool>(some_fd()); }));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(ForkGeneration, CountsForks) {
  const unsigned here = fork_generation();

  EXPECT_TRUE(in_a_fork([&] {
    return fork_generation() == here + 1 &&
           in_a_fork([&] { return fork_generation() == here + 2; });
  }));

  EXPECT_EQ(fork_generation(), here);
}

TEST(MappingTest, IsAbsentFromForkedProcessesUnlessInherited) {
  const UniqueFd fd = create_memory("test", 4096).value_or_throw();
  ASSERT_TRUE(commit(fd.get(), 0, 4096).ok());
  const Mapping own = Mapping::map(fd.get(), 4096, Access::read_write).value_or_throw();
  const Mapping shared = Mapping::map(fd.get(), 4096, Access::read_write, true).value_or_throw();
  // write(2) from a missing page fails with EFAULT instead of a crash.
  const auto mapped = [](const Mapping& mapping) {
    int ends[2];
    return ::pipe(ends) == 0 && write(ends[1], mapping.data(), 1) == 1;
  };

  EXPECT_TRUE(in_a_fork([&] { return !mapped(own) && mapped(shared); }));

  EXPECT_TRUE(mapped(own));
}

}  // namespace
}  // namespace pyhost::base
