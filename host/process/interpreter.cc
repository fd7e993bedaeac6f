// interpreter.cc: asks an interpreter, or remembers, and decides whether it will do.
#include <process/interpreter.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <base/clock.h>
#include <base/system.h>
#include <process/python_cache.h>

namespace pyhost::process {
namespace {

namespace fs = std::filesystem;

// A cold interpreter on a slow disk needs about one second; version managers' scripts a few.
constexpr auto kProbeLimit = std::chrono::seconds(10);
constexpr std::uint32_t kOldestHex = 0x03090000;

// Version managers put scripts on PATH that choose an interpreter by folder and environment, so
// what one answers now says nothing about the next time.
bool is_shim(const std::string& path) {
  std::array<char, 2> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return start[0] == '#' && start[1] == '!';
}

}  // namespace

bool is_program(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

Result<Answer> answer_of(const std::string& given) {
  std::error_code failed;
  // Absolute but with its symlinks: a venv's `bin/python` is one, and knows its venv by that name.
  const fs::path absolute = fs::absolute(given, failed);
  const std::string path = failed ? given : absolute.string();
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) {
    return base::system_error(Code::startup, "interpreter `" + path + "`", errno);
  }
  const bool cacheable = !is_shim(path);
  if (cacheable) {
    if (auto answer = remembered_answer(path, file)) return *std::move(answer);
  }
  auto answer = ask_interpreter(path, base::Deadline::in(kProbeLimit));
  if (answer && cacheable) remember_answer(path, file, *answer);
  return answer;
}

Result<Python> accept(const Answer& answer) {
  if (answer.implementation != "cpython") {
    return Error(Code::startup, "`" + answer.executable + "` is " + answer.implementation + " " +
                                    answer.version +
                                    "; pyhost needs CPython; choose one with --python");
  }
  if (answer.hex < kOldestHex) {
    return Error(Code::startup, "`" + answer.executable + "` is CPython " + answer.version +
                                    "; pyhost needs 3.9 or newer; choose one with --python");
  }
  Python python;
  python.executable = answer.executable;
  python.base_executable =
      is_program(answer.base_executable) ? answer.base_executable : answer.executable;
  python.version = answer.version;
  python.hex = answer.hex;
  python.tag = "cp" + std::to_string(answer.hex >> 24) + std::to_string((answer.hex >> 16) & 0xff) +
               answer.abi_flags;
  std::error_code ignored;
  python.links_libpython = !answer.loaded_libpython.empty();
  if (python.links_libpython && fs::exists(answer.loaded_libpython, ignored)) {
    python.libpython = answer.loaded_libpython;
    return python;
  }
  // Looked up each time and not remembered: packages with the library come and go.
  const auto place =
      std::find_if(answer.libpython_places.begin(), answer.libpython_places.end(),
                   [&](const std::string& path) { return fs::exists(path, ignored); });
  if (place != answer.libpython_places.end()) python.libpython = *place;
  return python;
}

}  // namespace pyhost::process
