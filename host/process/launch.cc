// launch.cc: spawns the launcher, and ends what it became.
#include <base/system.h>
#include <fcntl.h>
#include <poll.h>
#include <process/control.h>
#include <process/launch.h>
#include <process/spawn.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pyhost::process {
namespace {

constexpr int kControlFd = 3;  // where the launcher looks for its end of the socket

// How long the watcher gets to kill what is below it before it is killed itself. It needs
// milliseconds; only a machine that has stalled needs more.
constexpr auto kWatcherGrace = std::chrono::seconds(2);

// A stream the new process can share: open, and meant to be inherited. A host without stdout may
// have one of its own sockets at descriptor 1.
bool is_stream(int fd) {
  const int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

// Waits for the watcher's end. Reads the control socket meanwhile: a zygote with much to report
// would else wait for room in it.
bool wait_for_watcher(Started& started, base::Deadline deadline) {
  while (true) {
    std::array<pollfd, 2> watched{
        {{started.watcher.get(), POLLIN, 0}, {started.control.get(), POLLIN, 0}}};
    const int ready = poll(watched.data(), watched.size(), deadline.left_ms());
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && watched[0].revents != 0) return true;
    if (ready > 0 && watched[1].revents != 0) {
      const auto received = receive_control(started.control.get(), false);
      if (received && received->closed) started.control.reset();
    }
    if (deadline.passed()) return false;
  }
}

}  // namespace

Result<Started> launch(const Python& python, const ImageChoice& image, const RuntimeFiles& files,
                       const std::vector<std::string>& flags) {
  auto sockets = base::socket_pair();
  if (!sockets) return std::move(sockets).error();
  Spawn spawn;
  spawn.give_null(0);
  for (int stream : {1, 2}) {
    if (!is_stream(stream)) spawn.give_null(stream);
  }
  if (auto given = spawn.give(sockets->theirs.get(), kControlFd); !given) {
    return std::move(given).error();
  }
  std::vector<std::string> arguments = {
      "zygote", std::string(image_name(image.image)), python.executable,
      python.libpython.empty() ? "-" : python.libpython, files.core};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  auto pid = spawn.run(files.launcher, arguments);
  if (!pid) return std::move(pid).error();
  Started started;
  started.watcher_pid = *pid;
  started.control = std::move(sockets->ours);
  auto watcher = base::open_pidfd(*pid);
  if (!watcher) {
    started.control.reset();
    base::kill_tree(*pid);
    reap(*pid);
    return std::move(watcher).error();
  }
  started.watcher = *std::move(watcher);
  return started;
}

void shut_down(Started& started, base::Deadline deadline) {
  if (!started.watcher) return;
  // A zygote that is gone cannot be asked; the watcher ends by itself then.
  (void)send_control(started.control.get(), {.kind = ControlKind::stop});
  if (!wait_for_watcher(started, deadline)) {
    // Without our end of the socket the watcher kills all there is below it. It can do so better
    // than we can: what has left its process tree is re-parented to it and not to us.
    started.control.reset();
    if (!base::wait_exit(started.watcher.get(), base::Deadline::in(kWatcherGrace))) {
      base::kill_tree(started.watcher_pid);
    }
  }
  reap(started.watcher_pid);
  started = Started();
}

}  // namespace pyhost::process
