// launcher.cc: the executable `pyhost-worker`: brings up an interpreter image.
//
//   pyhost-worker zygote IMAGE PYTHON LIBPYTHON CORE [FLAGS...]     watcher, and below it a zygote
//   pyhost-worker run LIBPYTHON CORE PACKAGES OPTIONS PYTHON [ARGS...]     this process becomes
//   PYTHON
//
// It has no Python in its link line, so one launcher serves every version: the libpython image is
// loaded with dlopen, in the process that becomes the interpreter and in no other.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <base/fd.h>
#include <base/system.h>
#include <process/boot.h>
#include <process/control.h>
#include <process/launch.h>

namespace {

using pyhost::base::UniqueFd;

constexpr int kControlFd = 3;
constexpr int kHostFailed = 255;  // the status `pyhost` itself ends with when it cannot start

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

[[noreturn]] void fail_zygote(const std::string& message) {
  const std::string error = R"({"type": "", "message": )" + json_string(message) + "}";
  (void)pyhost::process::send_control(kControlFd, {.kind = pyhost::process::ControlKind::failed},
                                      error);
  _exit(1);
}

// "CPython 3.11.2", as the loaded library says.
std::string version_of(void* libpython) {
  const auto version = reinterpret_cast<const char* (*)()>(dlsym(libpython, "Py_GetVersion"));
  if (version == nullptr) return "no CPython";
  const std::string_view text = version();
  return "CPython " + std::string(text.substr(0, text.find(' ')));
}

// A function of the core, with libpython loaded before it. Null: `problem` says what was tried.
//
// Why RTLD_GLOBAL: extension modules are not linked to libpython; they find its symbols only in
// the global scope. The core's own symbols stay local.
void* core_function(const char* libpython, const char* core, const char* name,
                    std::string& problem) {
  void* python = dlopen(libpython, RTLD_NOW | RTLD_GLOBAL);
  if (python == nullptr) {
    problem = std::string("cannot load libpython `") + libpython + "`: " + dlerror() +
              "; install it, or use --image executable";
    return nullptr;
  }
  void* handle = dlopen(core, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const std::string reason = dlerror();  // before the next dlsym replaces it
    problem = std::string("cannot load the core `") + core + "` into " + version_of(python) +
              " (`" + libpython + "`): " + reason + "; rebuild pyhost for this Python";
    return nullptr;
  }
  void* function = dlsym(handle, name);
  if (function == nullptr) {
    problem = std::string("`") + core + "` is not a core of this pyhost: " + dlerror() +
              "; rebuild pyhost";
  }
  return function;
}

struct ZygoteArguments {
  std::string_view image;
  const char* python;
  const char* libpython;
  const char* core;
  char** flags;  // of the interpreter's command line, a null at the end
};

// Below the watcher: turns into the interpreter.
[[noreturn]] void become_zygote(const ZygoteArguments& arguments) {
  if (arguments.image == "executable") {
    const std::string control = std::to_string(kControlFd);
    std::vector<const char*> argv = {arguments.python};
    for (char** flag = arguments.flags; *flag != nullptr; ++flag) argv.push_back(*flag);
    argv.insert(argv.end(),
                {"-c", pyhost::process::kBoot, arguments.core, "zygote", control.c_str(), nullptr});
    execv(arguments.python, const_cast<char* const*>(argv.data()));
    fail_zygote(std::string("cannot execute the interpreter `") + arguments.python +
                "`: " + std::strerror(errno) + "; choose another one with --python");
  }
  std::string problem;
  void* function =
      core_function(arguments.libpython, arguments.core, "pyhost_core_zygote", problem);
  if (function == nullptr) fail_zygote(problem);
  const auto zygote = reinterpret_cast<int (*)(const char*, int, char**)>(function);
  _exit(zygote(arguments.python, kControlFd, arguments.flags));
}

int run_zygote(const ZygoteArguments& arguments) {
  const pid_t host = getppid();
  pyhost::Result<UniqueFd> host_pidfd = pyhost::base::open_pidfd(host);
  // A host that ended before its pidfd was open may have handed its pid to a stranger.
  if (!host_pidfd.ok() || getppid() != host) return 1;
  // Whatever the application left inheritable ends here; the pidfd is the one to keep.
  const int keep = kControlFd + 1;
  if (host_pidfd->get() != keep) {
    if (dup3(host_pidfd->get(), keep, O_CLOEXEC) != keep) return 1;
    host_pidfd->reset(keep);
  }
  syscall(SYS_close_range, keep + 1, ~0U, 0);

  // Before there is a zygote: an orphan made earlier than this would not come to the watcher.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t watcher = getpid();
  const pid_t zygote = fork();
  if (zygote < 0) fail_zygote(std::string("cannot fork the zygote: ") + std::strerror(errno));
  if (zygote == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != watcher) _exit(1);
    host_pidfd->reset();
    become_zygote(arguments);
  }
  pyhost::process::watch(zygote, std::move(*host_pidfd), UniqueFd(kControlFd));
}

int run_script(int argc, char** argv) {
  std::string problem;
  void* function = core_function(argv[2], argv[3], "pyhost_core_run", problem);
  if (function == nullptr) {
    std::fprintf(stderr, "pyhost: %s\n", problem.c_str());
    return kHostFailed;
  }
  const auto run =
      reinterpret_cast<int (*)(const char*, const char*, const char*, int, char**)>(function);
  return run(argv[4], argv[5], argv[6], argc - 6, argv + 6);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "zygote" && argc >= 6) {
    return run_zygote({argv[2], argv[3], argv[4], argv[5], argv + 6});
  }
  if (command == "run" && argc >= 7) return run_script(argc, argv);
  std::fprintf(stderr, "pyhost-worker: started by pyhost, not by hand; see `pyhost --help`\n");
  return kHostFailed;
}
