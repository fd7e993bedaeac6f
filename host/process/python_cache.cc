// python_cache.cc: the file `pythons.json` in the user's cache folder.
#include <base/fd.h>
#include <base/system.h>
#include <fcntl.h>
#include <process/python_cache.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

namespace pyhost::process {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;               // of the file; raise it when Answer changes
constexpr std::size_t kMaxEntries = 64;  // beyond, the file is begun anew: it is only a cache

// Empty when there is no place for it.
std::filesystem::path cache_file() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && cache[0] == '/') return std::filesystem::path(cache) / "pyhost" / "pythons.json";
  const char* home = std::getenv("HOME");
  if (!home || home[0] != '/') return {};
  return std::filesystem::path(home) / ".cache" / "pyhost" / "pythons.json";
}

// The file's entries; an empty object for anything that is not a cache of this format.
json read_entries(const std::filesystem::path& path) {
  const auto text = base::read_file(path);
  if (!text) return json::object();
  const json cache = json::parse(*text, nullptr, false);
  if (!cache.is_object() || cache.value("format", json()) != kFormat) return json::object();
  json entries = cache.value("pythons", json());
  return entries.is_object() ? entries : json::object();
}

// Changes whenever the file is replaced or written: an upgrade is asked again.
std::string identity(const struct stat& file) {
  return std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino) + ":" +
         std::to_string(file.st_size) + ":" + std::to_string(file.st_mtim.tv_sec) + "." +
         std::to_string(file.st_mtim.tv_nsec);
}

json to_json(const Answer& answer) {
  return {{"executable", answer.executable},
          {"base_executable", answer.base_executable},
          {"implementation", answer.implementation},
          {"version", answer.version},
          {"hex", answer.hex},
          {"abi_flags", answer.abi_flags},
          {"loaded_libpython", answer.loaded_libpython},
          {"libpython_places", answer.libpython_places}};
}

std::optional<Answer> from_json(const json& entry) {
  try {
    Answer answer;
    entry.at("executable").get_to(answer.executable);
    entry.at("base_executable").get_to(answer.base_executable);
    entry.at("implementation").get_to(answer.implementation);
    entry.at("version").get_to(answer.version);
    entry.at("hex").get_to(answer.hex);
    entry.at("abi_flags").get_to(answer.abi_flags);
    entry.at("loaded_libpython").get_to(answer.loaded_libpython);
    entry.at("libpython_places").get_to(answer.libpython_places);
    return answer;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<Answer> remembered_answer(const std::string& path, const struct stat& file) {
  const json entries = read_entries(cache_file());
  const auto entry = entries.find(path);
  if (entry == entries.end() || !entry->is_object()) return std::nullopt;
  if (entry->value("file", json()) != identity(file)) return std::nullopt;
  auto answer = from_json(*entry);
  // The interpreter behind a venv or a launcher may have been removed since.
  std::error_code ignored;
  if (answer && !std::filesystem::exists(answer->executable, ignored)) return std::nullopt;
  return answer;
}

void remember_answer(const std::string& path, const struct stat& file, const Answer& answer) {
  const std::filesystem::path target = cache_file();
  if (target.empty()) return;
  std::error_code failed;
  std::filesystem::create_directories(target.parent_path(), failed);
  if (failed) return;
  json entries = read_entries(target);
  if (entries.size() >= kMaxEntries) entries = json::object();
  json entry = to_json(answer);
  entry["file"] = identity(file);
  entries[path] = std::move(entry);
  const json cache = {{"format", kFormat}, {"pythons", std::move(entries)}};
  const std::string text = cache.dump(1, ' ', false, json::error_handler_t::replace);

  // Written aside and renamed: another process that reads meanwhile sees the old file or the new.
  std::string aside = target.string() + ".XXXXXX";
  base::UniqueFd fd(mkostemp(aside.data(), O_CLOEXEC));
  if (!fd) return;
  const bool written = base::write_all(fd.get(), text);
  fd.reset();
  if (!written || rename(aside.c_str(), target.c_str()) != 0) unlink(aside.c_str());
}

}  // namespace pyhost::process
