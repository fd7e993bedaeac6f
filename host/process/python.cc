// python.cc: from what the user named to one interpreter that can be used.
#include <process/interpreter.h>
#include <process/python.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace pyhost::process {
namespace {

namespace fs = std::filesystem;

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> path_folders() {
  const char* path = std::getenv("PATH");
  std::vector<std::string> folders;
  std::istringstream stream(path ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(stream, folder, ':');) {
    if (folder.empty()) folder = ".";
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) {
      folders.push_back(std::move(folder));
    }
  }
  return folders;
}

std::vector<std::string> on_path(const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& folder : path_folders()) {
    std::string path = folder;
    path.append("/").append(name);
    if (is_program(path)) found.push_back(std::move(path));
  }
  return found;
}

// The interpreter of a venv, or of any folder laid out like one; empty when there is none. A
// dangling link counts: a venv whose Python is gone must not be passed over in silence.
std::string interpreter_in(const std::string& folder) {
  for (const char* name : {"/bin/python", "/bin/python3"}) {
    std::error_code ignored;
    const fs::file_status status = fs::symlink_status(folder + name, ignored);
    if (fs::exists(status)) return folder + name;
  }
  return "";
}

// Collects what did not work, for the error that lists it.
class Tried {
 public:
  void add(const std::string& line) { lines_ += "\n  " + line; }
  Error error(const std::string& what, const std::string& remedy) const {
    return {Code::startup,
            what + (lines_.empty() ? "" : "; tried:" + lines_ + "\n ") + "; " + remedy};
  }

 private:
  std::string lines_;
};

Result<Python> default_python() {
  Tried tried;
  if (const char* venv = std::getenv("VIRTUAL_ENV"); venv && *venv) {
    const std::string path = interpreter_in(venv);
    if (!path.empty()) {
      auto answer = answer_of(path);
      if (answer) return accept(*answer);
      return Error(Code::startup, "the active virtual environment `" + std::string(venv) +
                                      "` does not work: " + answer.error().message +
                                      "; recreate it, deactivate it, or use --python");
    }
    tried.add("$VIRTUAL_ENV: `" + std::string(venv) + "` has no bin/python");
  }
  // An interpreter that answers decides; a script that cannot find one (a version manager with no
  // version chosen) does not stop the search.
  const auto candidates = on_path("python3");
  for (const std::string& path : candidates) {
    auto answer = answer_of(path);
    if (answer) return accept(*answer);
    tried.add(answer.error().message);
  }
  if (candidates.empty()) tried.add("`python3`: not on PATH");
  return tried.error("no Python found", "install python3, or name an interpreter with --python");
}

// "3", "3.11", "3.11.2", "3.13t".
bool is_version(std::string_view which) {
  if (which.ends_with('t')) which.remove_suffix(1);
  return !which.empty() && which.front() != '.' && which.back() != '.' &&
         which.find("..") == std::string_view::npos &&
         which.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool has_version(const Answer& answer, std::string_view wanted) {
  if (wanted.ends_with('t')) {
    if (answer.abi_flags != "t") return false;
    wanted.remove_suffix(1);
  }
  return answer.version == wanted ||
         (answer.version.starts_with(wanted) && answer.version[wanted.size()] == '.');
}

// Where an interpreter of that version may be: on PATH, in the system's folders, and with pyenv,
// whose scripts on PATH refuse every version that is not the chosen one.
std::vector<std::string> places_of_version(std::string_view version) {
  std::string minor(version);
  if (minor.ends_with('t')) minor.pop_back();
  if (const auto second = minor.find('.', std::min(minor.find('.'), minor.size() - 1) + 1);
      second != std::string::npos) {
    minor.resize(second);
  }
  const std::string name = "python" + minor + (version.ends_with('t') ? "t" : "");
  std::vector<std::string> places = on_path(name);
  const auto add = [&](const std::string& path) {
    if (is_program(path) && std::find(places.begin(), places.end(), path) == places.end()) {
      places.push_back(path);
    }
  };
  add("/usr/local/bin/" + name);
  add("/usr/bin/" + name);
  const char* root = std::getenv("PYENV_ROOT");
  const char* home = std::getenv("HOME");
  const fs::path versions =
      (root ? fs::path(root) : fs::path(home ? home : "/") / ".pyenv") / "versions";
  std::error_code ignored;
  std::vector<std::string> managed;
  for (const auto& entry : fs::directory_iterator(versions, ignored)) {
    managed.push_back(entry.path() / "bin" / name);
  }
  std::sort(managed.begin(), managed.end());
  for (const std::string& path : managed) add(path);
  return places;
}

Result<Python> python_of_version(std::string_view version) {
  Tried tried;
  for (const std::string& path : places_of_version(version)) {
    auto answer = answer_of(path);
    if (!answer) {
      tried.add(answer.error().message);
    } else if (!has_version(*answer, version)) {
      tried.add("`" + path + "` is " + answer->version);
    } else {
      return accept(*answer);
    }
  }
  return tried.error("no Python `" + std::string(version) + "` found",
                     "install it, or name the interpreter's path with --python");
}

Result<Python> python_at(const std::string& which) {
  std::string path = which;
  if (is_folder(which)) {
    path = interpreter_in(which);
    if (path.empty()) {
      return Error(Code::startup, "`" + which +
                                      "` is a folder without bin/python; name a virtual "
                                      "environment, an interpreter or a version");
    }
  } else if (which.find('/') == std::string::npos) {
    const auto found = on_path(which);
    if (found.empty()) {
      return Error(Code::startup, "`" + which +
                                      "` is neither on PATH nor a folder; name an interpreter, a "
                                      "virtual environment or a version such as 3.11");
    }
    path = found.front();
  }
  auto answer = answer_of(path);
  if (!answer) return std::move(answer).error();
  return accept(*answer);
}

}  // namespace

Result<Python> find_python(std::string_view which) {
  if (which.empty()) return default_python();
  if (is_version(which)) return python_of_version(which);
  return python_at(std::string(which));
}

std::vector<Python> known_pythons() {
  std::vector<Python> known;
  const auto add = [&](Result<Python> python) {
    if (!python) return;
    const bool there = std::any_of(known.begin(), known.end(), [&](const Python& other) {
      return other.executable == python->executable;
    });
    if (!there) known.push_back(*std::move(python));
  };
  add(find_python(""));
  for (const std::string& path : on_path("python3")) add(python_at(path));
  for (const std::string& tag : available_cores()) {
    // "cp313t" is version "3.13t".
    if (tag.size() > 3) add(find_python(tag.substr(2, 1) + "." + tag.substr(3)));
  }
  return known;
}

}  // namespace pyhost::process
