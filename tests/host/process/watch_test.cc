// watch_test.cc: whoever ends first, host or zygote, nothing below the watcher survives.
//
// The process of the test adopts orphans and plays init. It forks a host, which forks a watcher,
// which forks a zygote. Each tells its pid through a pipe.
#include <base/system.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <host/process/folder.h>
#include <poll.h>
#include <process/control.h>
#include <process/launch.h>
#include <process/spawn.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>

namespace pyhost::process {
namespace {

constexpr auto kSoon = std::chrono::seconds(1);  // the promise: nothing left after a second
constexpr auto kPatience = std::chrono::seconds(20);

// The processes of a test tell their pids here.
struct Told {
  char who;
  pid_t pid;
};

class Watcher : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    auto pipe = base::pipe();
    auto sockets = base::socket_pair();
    ASSERT_TRUE(pipe && sockets);
    pids_ = *std::move(pipe);
    sockets_ = *std::move(sockets);
  }
  void TearDown() override {
    // Also when the code under test is broken: a test leaves nothing behind.
    sockets_ = {};
    const auto deadline = base::Deadline::in(kPatience);
    while (waitpid(-1, nullptr, WNOHANG) >= 0 && !deadline.passed()) {
      for (const pid_t pid : base::descendants(getpid())) kill(pid, SIGKILL);
    }
  }

  void tell(char who) const {
    const Told told{who, getpid()};
    if (write(pids_.writer.get(), &told, sizeof told) != sizeof told) _exit(9);
  }

  // Forks a host that starts a watcher with this zygote, then lives until it is killed.
  pid_t start(const std::function<void()>& zygote) {
    const pid_t host = fork();
    if (host != 0) {
      sockets_.theirs.reset();
      return host;
    }
    auto host_pidfd = base::open_pidfd(getpid());
    if (fork() == 0) become_watcher(*std::move(host_pidfd), zygote);
    sockets_ = {};
    tell('h');
    while (true) pause();
  }

  [[noreturn]] void become_watcher(base::UniqueFd host, const std::function<void()>& zygote) {
    sockets_.ours.reset();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t pid = fork();
    if (pid == 0) {
      sockets_.theirs.reset();
      zygote();
      _exit(0);
    }
    tell('w');
    watch(pid, std::move(host), std::move(sockets_.theirs));
  }

  // Opens a pidfd for each of `expected`, in whatever order they tell.
  void meet(const std::string& expected) {
    const auto deadline = base::Deadline::in(kPatience);
    while (known_.size() < expected.size()) {
      pollfd watched{pids_.reader.get(), POLLIN, 0};
      ASSERT_EQ(poll(&watched, 1, deadline.left_ms()), 1) << "not all processes started";
      Told told{};
      ASSERT_EQ(read(pids_.reader.get(), &told, sizeof told), static_cast<ssize_t>(sizeof told));
      auto pidfd = base::open_pidfd(told.pid);
      ASSERT_TRUE(pidfd);
      known_[told.who] = *std::move(pidfd);
      pid_of_[told.who] = told.pid;
    }
  }

  // What comes next from the watcher. Waits for it, but not for ever.
  Result<Received> next_message() {
    pollfd watched{sockets_.ours.get(), POLLIN, 0};
    poll(&watched, 1, base::Deadline::in(kPatience).left_ms());
    return receive_control(sockets_.ours.get(), false);
  }

  // The watcher takes its name when it is set up.
  void wait_until_it_watches() {
    const std::string name = "/proc/" + std::to_string(pid_of_['w']) + "/comm";
    const auto deadline = base::Deadline::in(kPatience);
    auto text = base::read_file(name);
    while (text && *text != "pyhost-watcher\n" && !deadline.passed()) text = base::read_file(name);
    ASSERT_TRUE(text && *text == "pyhost-watcher\n");
  }

  void expect_gone(const std::string& who, base::Duration within) {
    const auto deadline = base::Deadline::in(within);
    for (const char one : who) {
      EXPECT_TRUE(base::wait_exit(known_[one].get(), deadline)) << "still alive: " << one;
    }
  }

  base::Pipe pids_;
  base::SocketPair sockets_;
  std::map<char, base::UniqueFd> known_;
  std::map<char, pid_t> pid_of_;
};

// A process that asks to be left alone in every way there is.
[[noreturn]] void be_stubborn() {
  setsid();
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  while (true) pause();
}

TEST_F(Watcher, KillsEverythingWhenTheHostIsKilled) {
  start([&] {
    // g: a daemon, whose parent is gone and whose session is its own.
    if (fork() == 0) {
      if (fork() == 0) {
        setsid();
        if (fork() == 0) {
          tell('g');
          be_stubborn();
        }
      }
      _exit(0);
    }
    tell('z');
    while (true) pause();
  });
  meet("hwzg");

  base::send_signal(known_['h'].get(), SIGKILL);

  expect_gone("hwzg", kSoon);
}

TEST_F(Watcher, ReportsHowTheZygoteEndedAndKillsTheRest) {
  start([&] {
    if (fork() == 0) {
      tell('g');
      be_stubborn();
    }
    tell('z');
    while (true) pause();
  });
  meet("hwzg");

  base::send_signal(known_['z'].get(), SIGTERM);

  auto received = next_message();
  ASSERT_TRUE(received && received->message);
  EXPECT_EQ(received->message->header.kind, ControlKind::zygote_exited);
  EXPECT_EQ(received->message->header.pid, pid_of_['z']);
  EXPECT_EQ(describe_status(received->message->header.status), "was killed by SIGTERM");
  expect_gone("wzg", kSoon);
  auto end = next_message();
  EXPECT_TRUE(end && end->closed) << "it is the last message";
}

TEST_F(Watcher, ReportsAZygoteThatEndedBeforeItLooked) {
  start([] { _exit(7); });
  meet("hw");

  auto received = next_message();

  ASSERT_TRUE(received && received->message);
  EXPECT_EQ(received->message->header.kind, ControlKind::zygote_exited);
  EXPECT_EQ(describe_status(received->message->header.status), "exited with status 7");
  expect_gone("w", kSoon);
}

TEST_F(Watcher, EndsWhenNobodyHoldsTheOtherEndOfTheSocket) {
  start([&] {
    tell('z');
    be_stubborn();
  });
  meet("hwz");

  sockets_.ours.reset();

  expect_gone("wz", kSoon);
}

TEST_F(Watcher, OutlivesTheSignalsOfATerminal) {
  start([&] {
    tell('z');
    be_stubborn();
  });
  meet("hwz");
  wait_until_it_watches();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1}) {
    base::send_signal(known_['w'].get(), number);
  }

  base::send_signal(known_['z'].get(), SIGKILL);

  auto received = next_message();
  ASSERT_TRUE(received && received->message) << "the watcher is there to report it";
  EXPECT_EQ(received->message->header.kind, ControlKind::zygote_exited);
}

TEST_F(Watcher, ReapsOrphansWhileItWatches) {
  start([&] {
    for (int i = 0; i < 20; ++i) {
      if (fork() == 0) {
        if (fork() == 0) _exit(0);  // an orphan as soon as its parent has ended
        _exit(0);
      }
    }
    while (wait(nullptr) > 0) {
    }
    tell('z');
    while (true) pause();
  });
  meet("hwz");

  const auto deadline = base::Deadline::in(kPatience);
  std::vector<pid_t> below;
  do {
    below = base::descendants(pid_of_['w']);
  } while (below.size() > 1 && !deadline.passed());

  EXPECT_EQ(below, std::vector<pid_t>{pid_of_['z']});
}

TEST_F(Watcher, ReportsNoEndOfOrphansAsThatOfTheZygote) {
  start([&] {
    if (fork() == 0) {
      if (fork() == 0) _exit(3);
      _exit(0);
    }
    wait(nullptr);
    tell('z');
    while (true) pause();
  });
  meet("hwz");

  base::send_signal(known_['z'].get(), SIGKILL);

  auto received = next_message();
  ASSERT_TRUE(received && received->message);
  EXPECT_EQ(received->message->header.pid, pid_of_['z']);
}

TEST_F(Watcher, KillsAFamilyThatKeepsForking) {
  start([&] {
    if (fork() == 0) {
      tell('g');
      // Every generation leaves two processes and goes on in one of them, for as long as it lives.
      for (int i = 0; i < 500; ++i) {
        const pid_t pid = fork();
        if (pid == 0) continue;
        if (i % 8 != 0) _exit(0);
        be_stubborn();
      }
      _exit(0);
    }
    tell('z');
    while (true) pause();
  });
  meet("hwzg");

  base::send_signal(known_['h'].get(), SIGKILL);

  expect_gone("wz", kSoon);
}

TEST_F(Watcher, DoesNotHoldTheStreamsOfTheHostOpen) {
  auto output = base::pipe();
  ASSERT_TRUE(output);
  const base::UniqueFd kept(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10));
  ASSERT_GE(dup2(output->writer.get(), STDOUT_FILENO), 0);
  start([&] {
    const base::UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    dup2(null.get(), STDOUT_FILENO);
    output->writer.reset();
    tell('z');
    while (true) pause();
  });
  dup2(kept.get(), STDOUT_FILENO);
  output->writer.reset();
  meet("hwz");

  // The host still has the pipe as its stdout, and the watcher has the writer it inherited from
  // this test; what it must have let go is descriptor 1.
  const std::string stream = "/proc/" + std::to_string(pid_of_['w']) + "/fd/1";
  std::error_code failed;
  const auto deadline = base::Deadline::in(kPatience);
  while (std::filesystem::read_symlink(stream, failed) != "/dev/null" && !deadline.passed()) {
  }

  EXPECT_EQ(std::filesystem::read_symlink(stream, failed), "/dev/null");
}

}  // namespace
}  // namespace pyhost::process
