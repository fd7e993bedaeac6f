// signals.cc: handlers that count and ring.
#include <cli/exit_code.h>
#include <cli/signals.h>
#include <unistd.h>

#include <atomic>

namespace pyhost::cli {
namespace {

std::atomic<const Bell*> target_bell{nullptr};
std::atomic<int> signal_count{0};
std::atomic<int> first_signal{0};
std::atomic<int> question_count{0};
static_assert(std::atomic<const Bell*>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
  signal_count.fetch_add(1);
  if (const Bell* bell = target_bell.load()) bell->ring();
}

void on_question(int) {
  question_count.fetch_add(1);
  if (const Bell* bell = target_bell.load()) bell->ring();
}

void catch_unless_ignored(int number, struct sigaction& before, void (*handler)(int)) {
  ::sigaction(number, nullptr, &before);
  if (before.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // other threads' system calls are none of this signal's business
  ::sigaction(number, &action, nullptr);
}

}  // namespace

Signals::Signals(const Bell& bell) {
  signal_count = 0;
  first_signal = 0;
  question_count = 0;
  target_bell = &bell;
  catch_unless_ignored(SIGINT, interrupt_, on_signal);
  catch_unless_ignored(SIGTERM, terminate_, on_signal);
  catch_unless_ignored(SIGUSR1, question_, on_question);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &pipe_);
}

Signals::~Signals() {
  ::sigaction(SIGINT, &interrupt_, nullptr);
  ::sigaction(SIGTERM, &terminate_, nullptr);
  ::sigaction(SIGUSR1, &question_, nullptr);
  ::sigaction(SIGPIPE, &pipe_, nullptr);
  target_bell = nullptr;
}

int Signals::count() const {
  return signal_count.load();
}

int Signals::questions() const {
  return question_count.load();
}

int Signals::exit_code() const {
  return first_signal.load() == SIGTERM ? kEnded : kInterrupted;
}

void Signals::die_of(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);  // only when the signal does not end processes
}

}  // namespace pyhost::cli
