#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <worker/identity.h>

#include <cstring>
#include <string>
#include <utility>

#include <python/ref.h>
#include <worker/forensics.h>
#include <worker/inheritance.h>
#include <worker/interrupt.h>
#include <worker/memory_cap.h>
#include <worker/output.h>
#include <worker/thread_cap.h>

namespace pyhost::worker {
namespace {

using base::UniqueFd;
using python::PyRef;

// A module that is already imported, or nothing: a worker imports nothing for its own sake.
PyRef imported(const char* name) {
  PyRef module = PyRef::borrow(PyDict_GetItemString(PyImport_GetModuleDict(), name));
  if (module.get() == Py_None) return {};
  return module;
}

// Calls `function` of `module`; what it raises is dropped: a worker without this is still one.
template <class... Arguments>
void call_quietly(const PyRef& module, const char* function, const char* format,
                  Arguments... arguments) {
  if (module) {
    PyRef::steal(PyObject_CallMethod(module.get(), function, format, arguments...));
  }
  PyErr_Clear();
}

// Through Python's own table, so that `signal.getsignal` tells the truth.
//
// SIGINT: a Ctrl-C is the host's to answer; a worker would print one traceback per process.
// SIGTERM: a handler inherited from the script is about the script's process, not this one.
void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const PyRef signals = PyRef::steal(PyImport_ImportModule("_signal"));
  call_quietly(signals, "set_wakeup_fd", "i", -1);  // else our signals wake the driver's event loop
  call_quietly(signals, "signal", "ii", SIGINT, 1);   // SIG_IGN
  call_quietly(signals, "signal", "ii", SIGTERM, 0);  // SIG_DFL
  call_quietly(signals, "signal", "ii", SIGPIPE, 1);
}

void set_streams(UniqueFd out, UniqueFd err) {
  open_null(0);
  dup2(out.get(), 1);
  dup2(err.get(), 2);
  keep_stderr(err.get());
  install_streams();
}

// How the worker answers when it crashes, and when the host interrupts it.
void listen(UniqueFd forensics) {
  leave_forensics(std::move(forensics));
  listen_for_interrupts();
  write_stacks_on(process::interrupt_signal());
}

// Whether numpy's global generator goes on as the script left it. `_bootstrap` tells.
bool keeps_numpy_seed(const PyRef& numpy_random) {
  if (!imported("multiprocessing.process")) return false;
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost._bootstrap"));
  const PyRef keeps = module ? PyRef::steal(PyObject_CallMethod(module.get(), "keeps_numpy_seed",
                                                                "O", numpy_random.get()))
                             : PyRef();
  PyErr_Clear();
  return keeps.get() == Py_True;
}

// Forked copies would all draw the same numbers. `random` reseeds itself when it is forked; what
// numpy's legacy global generator needs is this.
void reseed() {
  call_quietly(imported("random"), "seed", nullptr);
  const PyRef numpy_random = imported("numpy.random");
  if (numpy_random && !keeps_numpy_seed(numpy_random)) {
    call_quietly(numpy_random, "seed", nullptr);
  }
}

}  // namespace

void open_null(int fd) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null.get() == fd) return;
  if (null) dup2(null.get(), fd);
}

Result<Identity> take_identity(int number, process::ControlMessage& message, bool snapshot) {
  if (message.fds.size() != process::kForkFds) {
    return Error(Code::protocol, "the host sent " + std::to_string(message.fds.size()) +
                                     " descriptors for a worker instead of " +
                                     std::to_string(process::kForkFds));
  }
  process::WorkerSettings settings;
  if (message.body.size() != sizeof settings) {
    return Error(Code::protocol,
                 "the host sent settings of " + std::to_string(message.body.size()) +
                     " bytes for a worker instead of " + std::to_string(sizeof settings));
  }
  std::memcpy(&settings, message.body.data(), sizeof settings);
  prctl(PR_SET_NAME, ("pyhost-w" + std::to_string(number)).c_str());
  reset_signals();
  set_streams(std::move(message.fds[process::kStdoutFd]),
              std::move(message.fds[process::kStderrFd]));
  listen(std::move(message.fds[process::kForensicsFd]));
  reseed();
  cap_threads_of_loaded(static_cast<int>(settings.threads));
  await_multiprocessing();
  identify_to_multiprocessing(number, settings.identity);
  send_log_records();
  if (snapshot) {
    // The driver's exit functions are about the driver. Those of a script the zygote loaded are
    // about the process that runs it, and stay.
    call_quietly(PyRef::steal(PyImport_ImportModule("atexit")), "_clear", nullptr);
  }
  auto wire = wire::WorkerEnd::attach(std::move(message.fds[process::kHostRegionFd]),
                                      std::move(message.fds[process::kWorkerRegionFd]),
                                      std::move(message.fds[process::kDoorbellFd]));
  if (!wire.ok()) return std::move(wire).error();
  cap_memory(settings.memory_bytes, settings.concurrency > 1 ? settings.concurrency : 0);
  return Identity{*std::move(wire), settings};
}

}  // namespace pyhost::worker
