// signals.h: Ctrl-C, SIGTERM and SIGUSR1 as events of the main loop.
#pragma once

#include <cli/bell.h>
#include <signal.h>

namespace pyhost::cli {

// Catches SIGINT, SIGTERM and SIGUSR1 while it lives and rings `bell` for each. A signal that was
// ignored when the command started (`nohup`, `&` in a script) stays ignored. SIGPIPE is ignored
// meanwhile: a closed stdout is noticed where it is written to.
//
// Owner: one at a time, the command.
class Signals {
 public:
  explicit Signals(const Bell& bell);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  Signals(Signals&&) = delete;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

  int count() const;      // how many SIGINT and SIGTERM arrived
  int questions() const;  // how many SIGUSR1 arrived: somebody asks where the workers are
  int exit_code() const;  // 128 + the first one
  // Ends this process as the signal would have, had it not been caught.
  [[noreturn]] static void die_of(int signal);

 private:
  struct sigaction interrupt_ {};
  struct sigaction terminate_ {};
  struct sigaction question_ {};
  struct sigaction pipe_ {};
};

}  // namespace pyhost::cli
