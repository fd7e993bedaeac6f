// forensics.cc: Python's faulthandler, and one line of ours in front of what it writes.
//
//   signal --> handler: opens the question, sets a timer --> Python's handler, with the GIL:
//   answers
//                         \-- nothing ran Python until then --> handler: answers as well as it can
//
// Why not in the handler at once: faulthandler walks the frames of all threads, and those of one
// that runs meanwhile are taken away under its feet.
//
// Why handlers of our own around faulthandler's: it does not say which library a fatal signal
// struck; and what it registers for other signals restarts system calls, so that a read() from a
// silent pipe could never be interrupted.
#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <worker/forensics.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
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

// How long Python has to answer itself, in nanoseconds. Shorter, and threads that contend for the
// GIL are looked at from a copy; longer, and a call with a short grace period is killed before it
// was said where it is.
constexpr long kPatience = 20'000'000;
int question_signal = 0;
int question_bell = -1;
std::optional<timer_t> patience;  // its end comes as the same signal
// Whichever thread the signal hits writes these.
std::atomic<bool> open_question{false};  // a signal came that is not answered yet
std::atomic<bool> answering{false};      // this answer is for what comes meanwhile, too
static_assert(std::atomic<bool>::is_always_lock_free);

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

// While it does no other thread runs Python. Of an interpreter below the main one, false.
bool holds_gil() {
  const PyThreadState* thread = PyGILState_GetThisThreadState();
  return thread != nullptr && thread == _PyThreadState_UncheckedGet();
}

void write_stacks() {
  call(behind[static_cast<std::size_t>(question_signal)], question_signal, nullptr, nullptr);
}

// In a copy of the process no thread goes on, so that frames stay as they are. Those that another
// thread was just making may be half of one: that ends the copy, and nothing else.
//
// Not fork(), which may wait for locks of whoever was interrupted. Without a signal at its end, no
// wait() of a task sees the copy.
void write_stacks_of_copy() {
  const long copy = syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
  if (copy == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    for (const int fatal : kFatalSignals) ::signal(fatal, SIG_DFL);
    write_stacks();
    _exit(0);
  }
  if (copy < 0) return say("  <threads run, and there can be no copy of the process to look at>\n");
  while (waitpid(static_cast<pid_t>(copy), nullptr, __WALL) < 0 && errno == EINTR) continue;
}

void set_patience(long nanoseconds) {
  const itimerspec when = {.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = nanoseconds}};
  if (patience) timer_settime(*patience, 0, &when, nullptr);
}

// Nobody answered in time: C code holds the GIL, or runs, or waits, without it.
void answer_here() {
  if (!open_question.exchange(false) || answering.exchange(true)) return;
  say(kStacks);
  if (holds_gil()) {
    write_stacks();
  } else {
    write_stacks_of_copy();
  }
  say(kEndOfStacks);
  answering = false;
}

void on_question(int signal, siginfo_t* info, void* context) {
  const int error_number = errno;
  if (info->si_code == SI_TIMER) {
    answer_here();
  } else {
    if (!answering && !open_question.exchange(true)) set_patience(kPatience);
    call(python_s[static_cast<std::size_t>(signal)], signal, info, context);
    if (question_bell >= 0) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t rung = write(question_bell, &one, sizeof one);
    }
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
  if (!done) return;
  question_signal = signal;
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;  // to the thread that would have answered
  event.sigev_signo = signal;
  event._sigev_un._tid = gettid();
  timer_t timer = {};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) patience = timer;
  put_over(signal, on_question, 0);
}

void ring_on_question(int bell) {
  question_bell = bell;
}

bool take_question() {
  const bool was_open = open_question.exchange(false);
  if (was_open) set_patience(0);
  return was_open;
}

void answer_question(std::string_view text) {
  answering = true;
  say(kStacks);
  say(text);
  say(kEndOfStacks);
  answering = false;
}

void answer_with_threads() {
  answering = true;
  say(kStacks);
  write_stacks();
  say(kEndOfStacks);
  answering = false;
}

}  // namespace pyhost::worker
