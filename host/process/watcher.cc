// watcher.cc: the process that leaves nothing behind.
//
//   host                      watcher (this code)                 zygote and everything below it
//   +-----------+   pidfd     +-------------------------+  child  +-----------------------------+
//   | may be    |<------------| poll: host, control,    |-------->| workers, their subprocesses,|
//   | kill -9'd |   control   |       SIGCHLD           |         | setsid'ed daemons           |
//   |           |<------------| zygote_exited           |<--------| orphans are re-parented here|
//   +-----------+             +-------------------------+         +-----------------------------+
//
// 1. As a subreaper it becomes the parent of every orphan below it, so that a process cannot leave
//    by a double fork or a new session, and it reaps them.
// 2. The host's end is seen by a pidfd; besides by the control socket's, in case the host ended
//    before its pidfd was opened. The socket alone would not do: forked copies of the host keep
//    it open.
// 3. Whichever ends first, host or zygote, everything below is killed until waitpid says that no
//    process is left.
#include <base/system.h>
#include <fcntl.h>
#include <poll.h>
#include <process/control.h>
#include <process/launch.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pyhost::process {
namespace {

// What the signals that a terminal or a session leader sends must not do: end the watcher before
// those it watches over. All of them stay blocked; SIGCHLD is read from a descriptor.
base::UniqueFd block_signals() {
  signal(SIGCHLD, SIG_DFL);  // an inherited SIG_IGN would throw the exit statuses away
  sigset_t signals;
  sigfillset(&signals);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  return base::UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Whoever reads the host's output sees its end when host and workers are gone, not later.
void let_go_of_streams() {
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int stream : {0, 1, 2}) {
    // Without /dev/null a closed stream would do, were it not for the next descriptor opened.
    if (null) dup2(null.get(), stream);
  }
}

// The state of the processes below after everything that had ended was reaped.
struct Below {
  bool zygote_ended = false;
  int zygote_status = 0;
  bool none_left = false;
};

void reap_ended(pid_t zygote, Below& below) {
  while (true) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid == zygote) {
      below.zygote_ended = true;
      below.zygote_status = status;
    }
    if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
    below.none_left = pid < 0 && errno == ECHILD;
    return;
  }
}

// Sleeps until SIGCHLD, the host's end or the timeout. True when the host is gone.
bool wait_for_news(int signals, int host, int control, int timeout_ms) {
  std::array<pollfd, 3> watched{{{signals, POLLIN, 0}, {host, POLLIN, 0}, {control, 0, 0}}};
  if (poll(watched.data(), watched.size(), timeout_ms) <= 0) return false;
  std::array<signalfd_siginfo, 8> ignored;
  while (read(signals, ignored.data(), sizeof ignored) > 0) {
  }
  return watched[1].revents != 0 || (watched[2].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// Kills in rounds, because a process may fork between being listed and being hit. By pid and not
// by pidfd: every round starts from a fresh list, and for a listed pid to be another process by
// the time of the kill, all other pids would have to be used up in between.
void kill_everything(pid_t zygote, int signals, Below& below) {
  int pause_ms = 1;
  while (!below.none_left) {
    // /proc may be missing in a chroot; the zygote is known without it, and its workers end with
    // it.
    if (!below.zygote_ended) kill(zygote, SIGKILL);
    for (pid_t pid : base::descendants(getpid())) kill(pid, SIGKILL);
    wait_for_news(signals, -1, -1, pause_ms);
    // Dying takes a process as long as it takes to free its memory; no need to ask every time.
    pause_ms = std::min(pause_ms * 2, 50);
    reap_ended(zygote, below);
  }
}

}  // namespace

[[noreturn]] void watch(pid_t zygote, base::UniqueFd host_pidfd, base::UniqueFd control) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const base::UniqueFd signals = block_signals();
  prctl(PR_SET_NAME, "pyhost-watcher");  // what ps shows, once no signal can end it any more
  let_go_of_streams();

  Below below;
  bool host_gone = false;
  reap_ended(zygote, below);
  while (!below.zygote_ended && !host_gone) {
    // Without a signalfd (no descriptors left when it was made) deaths are found by looking.
    const int timeout_ms = signals ? -1 : 50;
    host_gone = wait_for_news(signals.get(), host_pidfd.get(), control.get(), timeout_ms);
    reap_ended(zygote, below);
  }
  if (below.zygote_ended && !host_gone) {
    (void)send_control(control.get(), {.kind = ControlKind::zygote_exited,
                                       .pid = static_cast<std::int32_t>(zygote),
                                       .status = below.zygote_status});
  }
  kill_everything(zygote, signals.get(), below);
  _exit(0);
}

}  // namespace pyhost::process
