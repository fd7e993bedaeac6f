// spawn.h: starting a program with nothing of the host but what was asked for.
#pragma once

#include <base/fd.h>
#include <pyhost/result.h>
#include <spawn.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace pyhost::process {

// What a new process gets. Its signals are unblocked and at their defaults, and it leads a process
// group of its own, so that a terminal's Ctrl-C reaches the host alone.
//
// Threads: one. `run` may be called from any thread; it never runs host code in the new process.
class Spawn {
 public:
  Spawn();
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  Spawn(Spawn&&) = delete;
  Spawn& operator=(Spawn&&) = delete;
  ~Spawn();

  // The new process has `from` as descriptor `to`. `from` stays the caller's.
  Result<void> give(int from, int to);
  // The new process has /dev/null as descriptor `to`.
  void give_null(int to);

  // Starts `file` (a path, not searched for). Error `startup`.
  Result<pid_t> run(const std::string& file, const std::vector<std::string>& arguments);

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  std::vector<base::UniqueFd> lifted_;
};

// Waits for a direct child and returns its status; -1 when somebody else reaped it (an application
// that ignores SIGCHLD, or waits for any process).
int reap(pid_t pid);

// "exited with status 3", "was killed by SIGSEGV".
std::string describe_status(int status);

}  // namespace pyhost::process
