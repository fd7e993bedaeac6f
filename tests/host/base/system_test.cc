// Files, pipes, processes and CPUs as the system shows them.
#include <base/system.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include <base/cgroup.h>

namespace pyhost::base {
namespace {

using std::chrono::seconds;

TEST(SystemError, NamesWhatFailedAndWhy) {
  const Error error = system_error(Code::startup, "cannot open `x.py`", ENOENT);

  EXPECT_EQ(error.code, Code::startup);
  EXPECT_EQ(error.message, "cannot open `x.py`: No such file or directory (ENOENT)");
  EXPECT_EQ(system_error(Code::startup, "odd", 9999).message, "odd: unknown error (9999)");
}

TEST(ErrorText, NamesTypeMessageAndInnermostPlaceInOneLine) {
  Error error(Code::python_error, "bad\nrow");
  error.type = "ValueError";
  error.frames = {{"main.py", 1, "run", ""}, {"etl.py", 31, "load", "return 1"}};

  EXPECT_STREQ(error.what(), "ValueError: bad row (etl.py:31 in `load`)");
  EXPECT_STREQ(Error(Code::cancelled, "").what(), "cancelled");
  EXPECT_STREQ(Error(Code::timeout, "took too long").what(), "took too long");
}

TEST(ErrorText, HasOneNamePerKind) {
  EXPECT_EQ(kind_name(Code::python_error), "exception");
  EXPECT_EQ(kind_name(Code::worker_crashed), "crashed");
  EXPECT_EQ(kind_name(Code::sandbox_unavailable), "sandbox_unavailable");
  EXPECT_EQ(kind_name(Code::protocol), "protocol");
}

TEST(ReadFile, ReadsFilesWhoseSizeIsNotKnown) {
  const auto text = read_file("/proc/self/status");

  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(text->starts_with("Name:"));
  EXPECT_FALSE(read_file("/nowhere").ok());
}

TEST(WriteAll, WritesMoreThanAPipeHolds) {
  auto made = pipe().value_or_throw();
  fcntl(made.writer.get(), F_SETFL, O_NONBLOCK);
  const std::string text(1 << 20, 'x');
  std::size_t got = 0;

  std::thread reader([&] {
    char part[4096];
    for (ssize_t n = 1; n > 0; got += static_cast<std::size_t>(n)) {
      n = read(made.reader.get(), part, sizeof part);
    }
  });
  EXPECT_TRUE(write_all(made.writer.get(), text));
  made.writer.reset();
  reader.join();

  EXPECT_EQ(got, text.size());
}

TEST(WriteAll, SaysSoWhenTheReaderIsGoneAndSurvivesIt) {
  auto made = pipe().value_or_throw();
  made.reader.reset();

  EXPECT_FALSE(write_all(made.writer.get(), "hello"));

  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST(SocketPairTest, KeepsMessagesApart) {
  const auto pair = socket_pair().value_or_throw();
  ASSERT_TRUE(write_all(pair.ours.get(), "one"));
  ASSERT_TRUE(write_all(pair.ours.get(), "two"));

  char text[16];
  EXPECT_EQ(read(pair.theirs.get(), text, sizeof text), 3);
}

// A process that forks `depth` generations below itself, one of them in a session of its own;
// returned when the last of them runs.
pid_t family(int depth) {
  auto made = pipe().value_or_throw();
  const pid_t pid = fork();
  if (pid != 0) {
    made.writer.reset();
    char byte = 0;
    EXPECT_EQ(read(made.reader.get(), &byte, 1), 1);
    return pid;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 1; i < depth; ++i) {
    if (fork() != 0) break;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (i == 1) setsid();
    if (i == depth - 1) [[maybe_unused]]
      const ssize_t told = write(made.writer.get(), "x", 1);
  }
  for (;;) pause();
}

TEST(Processes, AreFoundBelowTheirAncestorWhateverTheirSession) {
  const pid_t pid = family(4);

  const std::vector<pid_t> below = descendants(pid);

  EXPECT_EQ(below.size(), 3u);
  const std::vector<pid_t> ours = descendants(getpid());
  EXPECT_NE(std::find(ours.begin(), ours.end(), pid), ours.end());
  EXPECT_NE(std::find(ours.begin(), ours.end(), below.back()), ours.end());
  kill_tree(pid);
  waitpid(pid, nullptr, 0);
}

TEST(Processes, AreKilledWithEverythingBelowThem) {
  const pid_t pid = family(4);
  std::vector<UniqueFd> watched;
  watched.push_back(open_pidfd(pid).value_or_throw());
  for (const pid_t below : descendants(pid)) {
    watched.push_back(open_pidfd(below).value_or_throw());
  }
  ASSERT_EQ(watched.size(), 4u);

  kill_tree(pid);

  for (const UniqueFd& pidfd : watched) {
    EXPECT_TRUE(wait_exit(pidfd.get(), Deadline::in(seconds(20))));
  }
  waitpid(pid, nullptr, 0);
}

TEST(Pidfds, TellWhetherTheirProcessEnded) {
  const pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  const UniqueFd pidfd = open_pidfd(pid).value_or_throw();

  EXPECT_FALSE(wait_exit(pidfd.get(), Deadline::in(std::chrono::milliseconds(2))));
  EXPECT_TRUE(send_signal(pidfd.get(), SIGKILL));
  EXPECT_TRUE(wait_exit(pidfd.get(), Deadline::in(seconds(20))));
  waitpid(pid, nullptr, 0);

  EXPECT_FALSE(send_signal(pidfd.get(), SIGKILL));
}

TEST(UsableCpus, FollowTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_LE(usable_cpus(), CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);

  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(), 1);

  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

// A folder that looks like a mounted hierarchy of control groups.
class Groups : public testing::Test {
 protected:
  Groups() {
    std::string name = (std::filesystem::temp_directory_path() / "pyhost-groups-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~Groups() override { std::filesystem::remove_all(root_); }

  void put(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::string version2(const std::string& mounted = "/") const {
    return "24 1 0:21 " + mounted + " " + root_.string() + " rw shared:4 - cgroup2 cgroup2 rw\n";
  }
  std::string version1() const {
    return "30 1 0:26 / " + root_.string() + " rw - cgroup cgroup rw,cpu,cpuacct\n";
  }

  std::filesystem::path root_;
};

TEST_F(Groups, CapCpusRoundedUp) {
  put("a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpus(version2(), "0::/a\n"), 2);

  put("a/cpu.max", "1000 100000\n");
  EXPECT_EQ(cgroup_cpus(version2(), "0::/a\n"), 1);
}

TEST_F(Groups, WithoutAQuotaCapNothing) {
  put("a/cpu.max", "max 100000\n");

  EXPECT_EQ(cgroup_cpus(version2(), "0::/a\n"), std::nullopt);
  EXPECT_EQ(cgroup_cpus("", ""), std::nullopt);
  EXPECT_EQ(cgroup_cpus("nonsense\n - \n", "nonsense"), std::nullopt);
}

TEST_F(Groups, AboveOursCapUsToo) {
  put("a/cpu.max", "300000 100000\n");
  put("a/b/cpu.max", "max 100000\n");
  put("a/b/c/cpu.max", "800000 100000\n");

  EXPECT_EQ(cgroup_cpus(version2(), "0::/a/b/c\n"), 3);
}

TEST_F(Groups, MountedFromBelowTheRootAreFoundAsInContainers) {
  put("cpu.max", "200000 100000\n");

  EXPECT_EQ(cgroup_cpus(version2("/docker/x"), "0::/docker/x\n"), 2);
}

TEST_F(Groups, OfVersionOneCapToo) {
  put("a/cpu.cfs_quota_us", "250000\n");
  put("a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpus(version1(), "4:memory:/other\n3:cpu,cpuacct:/a\n"), 3);

  put("a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cgroup_cpus(version1(), "3:cpu,cpuacct:/a\n"), std::nullopt);
}

TEST_F(Groups, CapMemoryByTheirTightestLimit) {
  put("a/memory.max", "4000000000\n");
  put("a/b/memory.max", "max\n");
  EXPECT_EQ(cgroup_memory(version2(), "0::/a/b\n"), 4'000'000'000u);

  put("a/b/memory.high", "1000000000\n");
  EXPECT_EQ(cgroup_memory(version2(), "0::/a/b\n"), 1'000'000'000u);
}

TEST_F(Groups, WithoutALimitCapNoMemory) {
  put("a/memory.max", "max\n");

  EXPECT_EQ(cgroup_memory(version2(), "0::/a\n"), std::nullopt);
  EXPECT_EQ(cgroup_memory("", ""), std::nullopt);
  EXPECT_GT(usable_memory(), 0u);
}

TEST_F(Groups, OfVersionOneCapMemoryToo) {
  const std::string mounted = "31 1 0:27 / " + root_.string() + " rw - cgroup cgroup rw,memory\n" +
                              "32 1 0:28 / /none rw - cgroup cgroup rw,cpu\n";
  put("limit/memory.limit_in_bytes", "500000000\n");
  EXPECT_EQ(cgroup_memory(mounted, "4:memory:/limit\n3:cpu,cpuacct:/other\n"), 500'000'000u);

  put("limit/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cgroup_memory(mounted, "4:memory:/limit\n"), std::nullopt);
}

TEST(PrivateBytes, CountWhatAProcessHoldsForItself) {
  const std::uint64_t before = private_bytes(getpid());
  std::vector<char> own(64 << 20, 'x');

  const std::uint64_t after = private_bytes(getpid());

  EXPECT_GT(before, 0u);
  EXPECT_GE(after, before + own.size() - (1 << 20));
  EXPECT_EQ(private_bytes(-1), 0u);
}

}  // namespace
}  // namespace pyhost::base
