// spawn.cc: posix_spawn with descriptors that cannot collide.
#include <base/system.h>
#include <fcntl.h>
#include <process/spawn.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace pyhost::process {
namespace {

// A host started without 0, 1 or 2 has pipes at these numbers, which one dup2 would overwrite
// before the next one reads it; and dup2 onto itself would keep CLOEXEC in older C libraries.
// Copies at this number and above collide with no target.
constexpr int kAboveTargets = 10;

}  // namespace

Spawn::Spawn() {
  posix_spawn_file_actions_init(&actions_);
  posix_spawnattr_init(&attributes_);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes_, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes_, &signals);
  posix_spawnattr_setpgroup(&attributes_, 0);
  posix_spawnattr_setflags(&attributes_,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

Spawn::~Spawn() {
  posix_spawn_file_actions_destroy(&actions_);
  posix_spawnattr_destroy(&attributes_);
}

Result<void> Spawn::give(int from, int to) {
  base::UniqueFd lifted(fcntl(from, F_DUPFD_CLOEXEC, kAboveTargets));
  if (!lifted) {
    // EINVAL: kAboveTargets is at or above the limit of descriptors.
    return base::system_error(Code::startup, "duplicating a descriptor for a new process",
                              errno == EINVAL ? EMFILE : errno);
  }
  posix_spawn_file_actions_adddup2(&actions_, lifted.get(), to);
  lifted_.push_back(std::move(lifted));
  return {};
}

void Spawn::give_null(int to) {
  posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", O_RDWR, 0);
}

Result<pid_t> Spawn::run(const std::string& file, const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(file.c_str()));
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int failure =
      posix_spawn(&pid, file.c_str(), &actions_, &attributes_, argv.data(), environ);
  if (failure != 0) {
    return base::system_error(Code::startup, "starting `" + file + "`", failure);
  }
  return pid;
}

int reap(pid_t pid) {
  int status = -1;
  pid_t answer;
  do {
    answer = waitpid(pid, &status, 0);
  } while (answer < 0 && errno == EINTR);
  return answer == pid ? status : -1;
}

std::string describe_status(int status) {
  if (status == -1) return "ended with an unknown status";
  if (WIFEXITED(status)) return "exited with status " + std::to_string(WEXITSTATUS(status));
  if (!WIFSIGNALED(status)) return "ended with wait status " + std::to_string(status);
  const char* name = sigabbrev_np(WTERMSIG(status));
  return "was killed by " +
         (name ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status)));
}

}  // namespace pyhost::process
