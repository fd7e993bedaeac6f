// zygote.cc: the warm parent of workers.
//
//   host --control--> zygote (one thread)          +--> worker 0 (run_worker)
//         load          loads once, says ready     |
//         fork          fork() --------------------+--> worker 1
//         become        is worker 2 itself from here on
//         stop          ends when no worker is left
//        <--control--   forked + pidfd, exited + status
//
// 1. Workers are reaped only after their pidfd was sent: a number cannot come to mean another
//    process in between.
// 2. Each is waited for by its own pid, so that processes a preloaded module started keep their
//    statuses for that module.
//
// Why pidfds and not SIGCHLD: a handler or a blocked signal would be inherited by every worker and
// seen by user code there.
#include <Python.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <base/fd.h>
#include <base/system.h>
#include <process/control.h>
#include <python/ref.h>
#include <python/text.h>
#include <worker/functions.h>
#include <worker/identity.h>
#include <worker/inheritance.h>
#include <worker/load.h>
#include <worker/loop.h>
#include <worker/output.h>
#include <worker/worker.h>

namespace pyhost::worker {
namespace {

using base::UniqueFd;
using process::ControlKind;
using process::ControlMessage;
using python::PyRef;

struct Forked {
  int worker;
  pid_t pid;
  UniqueFd pidfd;
};

class Zygote {
 public:
  Zygote(int control, bool snapshot) : control_(control), snapshot_(snapshot) {}
  [[noreturn]] void run();

 private:
  void wait();
  void receive();
  void obey(ControlMessage message);
  void load(const std::string& plan);
  void fork_worker(ControlMessage message);
  void become(ControlMessage message);
  [[noreturn]] void live_as_worker(ControlMessage message);
  void reap();
  void send(process::ControlHeader header, std::string_view body = {}, int fd = -1);

  UniqueFd control_;
  bool snapshot_;
  bool stopping_ = false;
  struct sigaction scripts_sigchld_ = {};  // given back to workers
  Loaded loaded_;
  std::vector<Forked> workers_;
};

void Zygote::send(process::ControlHeader header, std::string_view body, int fd) {
  const auto fds = fd >= 0 ? std::span<const int>(&fd, 1) : std::span<const int>();
  // A host that does not listen any more is gone, and the watcher is about to end this process.
  if (!process::send_control(control_.get(), header, body, fds).ok()) _exit(1);
}

void Zygote::run() {
  while (!stopping_ || !workers_.empty()) {
    wait();
    receive();
    reap();
  }
  flush_streams();
  _exit(0);
}

void Zygote::wait() {
  std::vector<pollfd> watched = {{control_.get(), POLLIN, 0}};
  for (const Forked& worker : workers_) watched.push_back({worker.pidfd.get(), POLLIN, 0});
  {
    const python::WithoutGil without_gil;
    poll(watched.data(), watched.size(), -1);
  }
}

void Zygote::receive() {
  for (;;) {
    Result<process::Received> received = process::receive_control(control_.get(), false);
    if (!received.ok() || received->closed) _exit(1);
    if (!received->message) return;
    obey(std::move(*received->message));
  }
}

void Zygote::obey(ControlMessage message) {
  switch (message.header.kind) {
    case ControlKind::inherit:
      return inherit(std::move(message.fds));
    case ControlKind::load:
      return load(message.body);
    case ControlKind::fork:
      return fork_worker(std::move(message));
    case ControlKind::become:
      return become(std::move(message));
    case ControlKind::stop:
      stopping_ = true;
      return;
    default:
      return;
  }
}

// Some libraries (OpenBLAS) start threads when they are imported and stop them whenever the process
// forks. A fork that does nothing tells them from threads that would be lost.
int threads_that_stay() {
  if (count_threads() == 1) return 1;
  const pid_t trial = fork();
  if (trial == 0) _exit(0);
  if (trial > 0) waitpid(trial, nullptr, 0);
  return count_threads();
}

// Moves all that is alive out of the collector's sight: collecting in a worker would write to
// every object's header and so copy every page it shares with the zygote.
void freeze(bool collect_first) {
  if (collect_first) PyGC_Collect();
  const PyRef gc = PyRef::steal(PyImport_ImportModule("gc"));
  if (gc) PyRef::steal(PyObject_CallMethod(gc.get(), "freeze", nullptr));
  PyErr_Clear();
}

std::string ready_json(const LoadReport& report, int threads) {
  std::string json = "{\"pid\": " + std::to_string(getpid()) + ", \"python\": \"";
  const std::string version = Py_GetVersion();
  json += version.substr(0, version.find(' '));
  json += "\", \"threads\": " + std::to_string(threads) + ", \"threaded_by\": ";
  if (threads <= 1 || report.threaded_by.empty()) return json + "null}";
  python::append_quoted(json, report.threaded_by);
  return json + "}";
}

void Zygote::load(const std::string& plan) {
  LoadReport report;
  if (snapshot_) {
    keep_inheritance_of(plan);
  } else {
    report = worker::load(plan, loaded_);
    flush_streams();
    if (!report.failure.empty()) {
      send({.kind = ControlKind::failed, .pid = getpid()}, report.failure);
      _exit(1);
    }
  }
  prepare_for_multiprocessing();
  freeze(!snapshot_);
  // A handler of the script would collect, or ignore, the exit statuses of workers.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &standard, &scripts_sigchld_);
  send({.kind = ControlKind::ready, .pid = getpid()}, ready_json(report, threads_that_stay()));
}

void Zygote::fork_worker(ControlMessage message) {
  const int worker = message.header.worker;
  flush_streams();  // what is buffered now would be written once per worker
  const pid_t zygote = getpid();
  PyOS_BeforeFork();
  const pid_t pid = fork();
  const int error_number = errno;
  if (pid == 0) {
    // Dies with the zygote; the check covers a zygote that died before the line above took hold.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote) _exit(1);
    PyOS_AfterFork_Child();
    live_as_worker(std::move(message));
  }
  PyOS_AfterFork_Parent();
  Result<UniqueFd> pidfd = pid > 0 ? base::open_pidfd(pid) : Result<UniqueFd>(UniqueFd());
  if (pid > 0 && pidfd.ok()) {
    Forked forked{worker, pid, std::move(*pidfd)};
    send({.kind = ControlKind::forked, .worker = worker, .pid = pid}, {}, forked.pidfd.get());
    workers_.push_back(std::move(forked));
    return;
  }
  if (pid > 0) {  // without a descriptor nobody would hear of its end
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  send({.kind = ControlKind::fork_failed,
        .worker = worker,
        .status = pid > 0 ? EMFILE : error_number});
}

void Zygote::become(ControlMessage message) {
  const Result<UniqueFd> pidfd = base::open_pidfd(getpid());
  send({.kind = ControlKind::forked, .worker = message.header.worker, .pid = getpid()}, {},
       pidfd.ok() ? pidfd->get() : -1);
  live_as_worker(std::move(message));
}

void Zygote::live_as_worker(ControlMessage message) {
  control_.reset();
  workers_.clear();
  sigaction(SIGCHLD, &scripts_sigchld_, nullptr);
  const int number = message.header.worker;
  Result<Identity> identity = take_identity(number, message, snapshot_);
  if (!identity.ok()) {
    const std::string line = "pyhost: worker cannot start: " + identity.error().message + "\n";
    base::write_all(2, line);
    _exit(1);
  }
  run_worker(number, std::move(identity->wire), loaded_, identity->settings);
}

void Zygote::reap() {
  for (std::size_t i = 0; i < workers_.size();) {
    int status = 0;
    rusage used{};
    const pid_t ended = wait4(workers_[i].pid, &status, WNOHANG, &used);
    if (ended == 0 || (ended < 0 && errno == EINTR)) {
      ++i;
      continue;
    }
    send({.kind = ControlKind::exited,
          .worker = workers_[i].worker,
          .pid = workers_[i].pid,
          .status = status,
          .peak_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024});
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace

void run_zygote(int control, bool snapshot) {
  // Processes that user code starts must not hold the control socket.
  fcntl(control, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "pyhost-zygote");
  // Nobody reads from the terminal here, and stdout belongs to the results: what a script prints
  // while it is loaded goes to stderr.
  open_null(0);
  if (!snapshot) keep_stdout();
  dup2(2, 1);
  signal(SIGINT, SIG_IGN);
  // Until a worker has its own handler: what comes too early must not end it.
  signal(process::interrupt_signal(), SIG_IGN);
  if (!snapshot) install_streams();
  Zygote(control, snapshot).run();
}

}  // namespace pyhost::worker
