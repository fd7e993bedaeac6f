// forensics.cc: Python's faulthandler, and one line of ours in front of what it writes.
//
// Why handlers of our own around faulthandler's: it does not say which library a fatal signal
// struck; and what it registers for other signals restarts system calls, so that a read() from a
// silent pipe could never be interrupted.
#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include <worker/forensics.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

constexpr std::array kFatalSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr int kSignals = 65;  // signal numbers end at 64

// What the handlers need. Written before they are installed; for the life of the process.
int forensics_fd = -1;
std::array<struct sigaction, kSignals> behind = {};    // faulthandler's, which ours call
std::array<struct sigaction, kSignals> python_s = {};  // Python's own, called after it

constexpr std::string_view kStacks = "pyhost: stacks\n";
constexpr std::string_view kEndOfStacks = "pyhost: end of stacks\n";
volatile std::sig_atomic_t deferring = 0;
volatile std::sig_atomic_t answering = 0;  // this answer is for what comes meanwhile, too
int question_bell = -1;
volatile std::sig_atomic_t open_question = 0;  // a signal came that is not answered yet

// --- what may be called in a signal handler: system calls and memory that is already there ---

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t written = write(forensics_fd, text.data(), text.size());
}

void say_number(long number) {
  std::array<char, 24> digits;
  std::size_t at = digits.size();
  do {
    digits[--at] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  say({digits.data() + at, digits.size() - at});
}

std::uintptr_t instruction_of(const void* context) {
  const auto* where = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(where->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<std::uintptr_t>(where->uc_mcontext.pc);
#else
  static_cast<void>(where);
  return 0;
#endif
}

// Reads hexadecimal digits off the front of `text`.
std::uintptr_t take_hex(std::string_view& text) {
  std::uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<std::uintptr_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<std::uintptr_t>(c - 'a' + 10);
    } else {
      break;
    }
    text.remove_prefix(1);
  }
  return value;
}

// The file of a line of /proc/self/maps, if `address` lies in it.
std::string_view file_at(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = take_hex(line);
  if (line.empty()) return {};
  line.remove_prefix(1);  // the dash
  const std::uintptr_t end = take_hex(line);
  const std::size_t path = line.find('/');
  if (address < begin || address >= end || path == std::string_view::npos) return {};
  return line.substr(path);
}

// Writes the name of the file whose code is at `address`; false when there is none. Static memory:
// after a stack overflow the handler's own stack is all there is, and it is small.
bool say_file_at(std::uintptr_t address) {
  static std::array<char, 8192> text;
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return false;
  bool found = false;
  std::size_t filled = 0;
  while (!found) {
    const ssize_t got = read(maps, text.data() + filled, text.size() - filled);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
    std::string_view rest(text.data(), filled);
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos && !found;
         end = rest.find('\n')) {
      const std::string_view file = file_at(rest.substr(0, end), address);
      if (!file.empty()) say(file);
      found = !file.empty();
      rest.remove_prefix(end + 1);
    }
    if (rest.size() == text.size()) break;  // a line longer than any path
    for (std::size_t i = 0; i < rest.size(); ++i) text[i] = rest[i];
    filled = rest.size();
  }
  close(maps);
  return found;
}

void call(const struct sigaction& action, int signal, siginfo_t* info, void* context) {
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
    action.sa_handler(signal);
  }
}

void on_fatal_signal(int signal, siginfo_t* info, void* context) {
  say("pyhost: signal ");
  say_number(signal);
  if (info->si_code > 0) {  // by the processor, not by kill() or abort()
    say(" in ");
    if (!say_file_at(instruction_of(context))) say("no library");
  } else {
    say(" sent by process ");
    say_number(info->si_pid);
  }
  say("\n");
  // Writes the stacks, gives the signal its old action back and raises it again.
  call(behind[static_cast<std::size_t>(signal)], signal, info, context);
}

void on_question(int signal, siginfo_t* info, void* context) {
  const int error_number = errno;
  if (deferring != 0 && open_question == 0 && PyGILState_Check() == 0) {
    open_question = 1;
  } else if (answering == 0) {
    answering = 1;
    open_question = 0;
    say(kStacks);
    call(behind[static_cast<std::size_t>(signal)], signal, info, context);
    say(kEndOfStacks);
    answering = 0;
  }
  call(python_s[static_cast<std::size_t>(signal)], signal, info, context);
  if (question_bell >= 0) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t rung = write(question_bell, &one, sizeof one);
  }
  errno = error_number;
}

// --- installing ---

// In a process that a task forked: what it leaves behind must not be taken for the worker's.
void use_stderr() {
  if (forensics_fd >= 0) dup3(2, forensics_fd, O_CLOEXEC);
}

PyRef faulthandler() {
  PyRef module = PyRef::steal(PyImport_ImportModule("faulthandler"));
  PyErr_Clear();
  return module;
}

// Puts `handler` over what is installed for `signal`, which it calls.
void put_over(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction ours = {};
  ours.sa_sigaction = handler;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
  sigaction(signal, nullptr, &behind[static_cast<std::size_t>(signal)]);
  sigaction(signal, &ours, nullptr);
}

}  // namespace

void leave_forensics(base::UniqueFd fd) {
  forensics_fd = fd.release();  // for as long as a signal may come
  pthread_atfork(nullptr, nullptr, use_stderr);
  const PyRef module = faulthandler();
  if (!module) return;
  if (PyRef::steal(PyObject_CallMethod(module.get(), "enable", "i", forensics_fd))) {
    // Without SA_NODEFER a handler that crashes ends the process at once, which is right; a signal
    // raised again while it is handled comes when the handler returns.
    for (const int signal : kFatalSignals) put_over(signal, on_fatal_signal, 0);
  }
  PyErr_Clear();
}

void write_stacks_on(int signal) {
  sigaction(signal, nullptr, &python_s[static_cast<std::size_t>(signal)]);
  const PyRef module = faulthandler();
  if (!module) return;
  // Arguments: signal, file, all_threads, chain.
  const PyRef done = PyRef::steal(PyObject_CallMethod(module.get(), "register", "iiOO", signal,
                                                      forensics_fd, Py_True, Py_False));
  PyErr_Clear();
  if (done) put_over(signal, on_question, 0);
}

void ring_on_question(int bell) {
  question_bell = bell;
}

void defer_questions(bool defer) {
  deferring = defer;
}

bool take_question() {
  const bool was_open = open_question != 0;
  open_question = 0;
  return was_open;
}

void answer_question(std::string_view text) {
  answering = 1;
  say(kStacks);
  say(text);
  say(kEndOfStacks);
  answering = 0;
}

}  // namespace pyhost::worker
