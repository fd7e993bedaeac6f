// runtime_files.cc: finds the launcher, the cores and the package beside the code that asks.
#include <dlfcn.h>
#include <link.h>
#include <process/python.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace pyhost::process {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLauncher = "pyhost-worker";
constexpr std::string_view kCorePrefix = "pyhost-core-";
constexpr std::string_view kCoreSuffix = ".so";

// The folder of the file that holds this code: libpyhost.so, a core, or an executable that is
// linked statically. Empty when that cannot be told.
fs::path own_folder() {
  Dl_info info{};
  void* extra = nullptr;
  const auto here = reinterpret_cast<const void*>(&own_folder);
  if (dladdr1(here, &info, &extra, RTLD_DL_LINKMAP) == 0) return {};
  const auto* object = static_cast<const link_map*>(extra);
  // The main program has no name there, and argv[0] need not be a path.
  const bool main_program = !object || !object->l_name || object->l_name[0] == '\0';
  std::error_code failed;
  const fs::path file = fs::canonical(main_program ? "/proc/self/exe" : object->l_name, failed);
  return failed ? fs::path() : file.parent_path();
}

bool holds_runtime(const fs::path& folder) {
  return access((folder / kLauncher).c_str(), X_OK) == 0;
}

// Where an installation or the build tree has its runtime, seen from `own`.
std::vector<fs::path> candidates(const fs::path& own) {
  std::vector<fs::path> folders = {
      own,                                   // a core
      own / "pyhost",                        // lib/libpyhost.so
      own.parent_path() / "lib" / "pyhost",  // bin/pyhost
      own.parent_path() / "lib64" / "pyhost",
  };
  // bin/pyhost of an installation with multiarch folders: lib/x86_64-linux-gnu/pyhost.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(own.parent_path() / "lib", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find("-linux-") != std::string::npos) folders.push_back(entry.path() / "pyhost");
  }
  return folders;
}

Result<fs::path> runtime_folder() {
  if (const char* named = std::getenv("PYHOST_RUNTIME_DIR"); named && *named) {
    std::error_code failed;
    const fs::path folder = fs::absolute(named, failed);
    if (!failed && holds_runtime(folder)) return folder;
    return Error(Code::startup, "$PYHOST_RUNTIME_DIR is `" + std::string(named) +
                                    "`, which has no `" + std::string(kLauncher) +
                                    "`; unset it, or name the folder lib/pyhost");
  }
  const fs::path own = own_folder();
  std::string tried;
  for (const fs::path& folder : candidates(own)) {
    if (holds_runtime(folder)) return folder;
    tried += "\n  " + folder.string();
  }
  return Error(Code::startup, "`" + std::string(kLauncher) + "` was not found; looked in" + tried +
                                  "\n  build pyhost completely, or set PYHOST_RUNTIME_DIR");
}

std::vector<std::string> cores_in(const fs::path& folder) {
  std::vector<std::string> tags;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kCorePrefix) || !name.ends_with(kCoreSuffix)) continue;
    tags.push_back(
        name.substr(kCorePrefix.size(), name.size() - kCorePrefix.size() - kCoreSuffix.size()));
  }
  std::sort(tags.begin(), tags.end());
  return tags;
}

// "cp311" as users know it: "3.11".
std::string version_of(const std::string& tag) {
  return tag.size() > 3 ? tag.substr(2, 1) + "." + tag.substr(3) : tag;
}

Error no_core(const Python& python, const fs::path& folder) {
  std::string versions;
  for (const std::string& tag : cores_in(folder)) {
    versions += (versions.empty() ? "" : ", ") + version_of(tag);
  }
  return {Code::startup, "no core for CPython " + version_of(python.tag) + " (`" +
                             python.executable + "` is " + python.version + "); this build has " +
                             (versions.empty() ? "no cores" : "cores for " + versions) +
                             "; add the interpreter to PYHOST_PYTHONS and rebuild, or choose "
                             "another with --python"};
}

}  // namespace

Result<RuntimeFiles> find_runtime_files(const Python& python) {
  auto folder = runtime_folder();
  if (!folder) return std::move(folder).error();
  RuntimeFiles files;
  files.launcher = *folder / kLauncher;
  files.core = *folder / (std::string(kCorePrefix) + python.tag + std::string(kCoreSuffix));
  files.packages = *folder / "python";
  if (access(files.core.c_str(), R_OK) != 0) return no_core(python, *folder);
  return files;
}

std::vector<std::string> available_cores() {
  auto folder = runtime_folder();
  return folder ? cores_in(*folder) : std::vector<std::string>();
}

}  // namespace pyhost::process
