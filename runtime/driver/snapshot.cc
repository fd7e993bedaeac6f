// snapshot.cc: a copy of this process as a zygote.
//
//   driver --fork--> watcher (C++ only, from its first instruction) --fork--> zygote (Python again)
//     |  PyOS_BeforeFork ............................................ PyOS_AfterFork_Child
//     |  PyOS_AfterFork_Parent
//
// Why the hooks are split over two forks: the watcher must never run Python, and the zygote is the
// one copy whose locks, threads and random states have to be put right.
#include <Python.h>
#include <base/system.h>
#include <driver/driver.h>
#include <driver/imports.h>
#include <driver/snapshot.h>
#include <driver/streams.h>
#include <driver/unlocked.h>
#include <python/ref.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

namespace pyhost::driver {
namespace {

using base::UniqueFd;

RunZygote run_zygote = nullptr;  // set once, when the module is made

[[noreturn]] void become_zygote(pid_t watcher, UniqueFd control) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != watcher) _exit(1);
  PyOS_AfterFork_Child();
  forget_imports();
  run_zygote(control.release(), true);
  _exit(1);  // it does not return
}

// Descriptors of the driver that stay open here would keep its pipes and sockets from ending.
void close_all_but(int first, int second) {
  if (first > second) std::swap(first, second);
  if (first > 3) close_range(3, static_cast<unsigned>(first) - 1, 0);
  if (second > first + 1) {
    close_range(static_cast<unsigned>(first) + 1, static_cast<unsigned>(second) - 1, 0);
  }
  close_range(static_cast<unsigned>(second) + 1, ~0U, 0);
}

[[noreturn]] void become_watcher(UniqueFd control, UniqueFd host) {
  setpgid(0, 0);                     // a terminal's Ctrl-C is for the driver alone
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // before there is anything below that could lose its parent
  const pid_t watcher = getpid();
  const pid_t zygote = fork();
  if (zygote < 0) _exit(1);
  if (zygote == 0) {
    host.reset();
    become_zygote(watcher, std::move(control));
  }
  close_all_but(control.get(), host.get());
  process::watch(zygote, std::move(host), std::move(control));
}

}  // namespace

void set_zygote(RunZygote run) {
  run_zygote = run;
}

Result<process::Started> take_snapshot() {
  flush_streams();
  await_imports();
  Result<base::SocketPair> sockets = base::socket_pair();
  if (!sockets.ok()) return std::move(sockets).error();
  Result<UniqueFd> host = base::open_pidfd(getpid());
  if (!host.ok()) return std::move(host).error();

  PyOS_BeforeFork();
  const pid_t watcher = fork();
  const int error = errno;
  if (watcher == 0) {
    sockets->ours.reset();
    become_watcher(std::move(sockets->theirs), std::move(*host));
  }
  PyOS_AfterFork_Parent();
  if (watcher < 0) return base::system_error(Code::startup, "forking this process", error);
  setpgid(watcher, watcher);  // here as well: whoever comes first

  Result<UniqueFd> pidfd = base::open_pidfd(watcher);
  if (!pidfd.ok()) {
    base::kill_tree(watcher);
    return std::move(pidfd).error();
  }
  return process::Started{std::move(sockets->ours), std::move(*pidfd), watcher};
}

process::StartZygote snapshots(process::Started first) {
  auto waiting = std::make_shared<std::optional<process::Started>>(std::move(first));
  return [waiting]() -> Result<process::Started> {
    if (waiting->has_value()) return std::exchange(*waiting, std::nullopt).value();
    if (interpreter_is_ending()) {
      return Error(Code::cancelled, "the interpreter is ending; no new workers are forked from it");
    }
    const python::Gil gil;
    return take_snapshot();
  };
}

}  // namespace pyhost::driver
