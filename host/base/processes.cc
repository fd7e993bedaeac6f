// processes.cc: finding and ending everything below a process.
#include <base/system.h>
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>
#include <set>

namespace pyhost::base {
namespace {

std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(opendir(folder.c_str()), closedir);
  if (!open_folder) return numbers;
  while (const dirent* entry = readdir(open_folder.get())) {
    const std::string_view name = entry->d_name;
    pid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

// The children every thread of `pid` forked. False where the kernel has no such file.
bool add_listed_children(pid_t pid, std::vector<pid_t>& children) {
  bool listed = false;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const pid_t thread : numbers_in(tasks)) {
    const auto text = read_file(tasks + "/" + std::to_string(thread) + "/children");
    if (!text.ok()) continue;
    listed = true;
    const char* next = text->data();
    const char* const end = next + text->size();
    while (next < end) {
      pid_t child = 0;
      const auto parsed = std::from_chars(next, end, child);
      if (parsed.ec == std::errc{}) children.push_back(child);
      next = parsed.ptr + 1;
    }
  }
  return listed;
}

// Everybody's children, from the parent field of /proc/*/stat.
std::map<pid_t, std::vector<pid_t>> scan_parents() {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const pid_t pid : numbers_in("/proc")) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/stat");
    if (!text.ok()) continue;
    // `pid (name) state parent ...`: the name may itself hold spaces and parentheses.
    const std::size_t name_end = text->rfind(") ");
    if (name_end == std::string::npos || name_end + 4 >= text->size()) continue;
    pid_t parent = 0;
    const char* start = text->data() + name_end + 4;
    const auto parsed = std::from_chars(start, text->data() + text->size(), parent);
    if (parsed.ec == std::errc{}) children[parent].push_back(pid);
  }
  return children;
}

bool kernel_lists_children() {
  std::vector<pid_t> ignored;
  static const bool lists = add_listed_children(getpid(), ignored);
  return lists;
}

// More rounds than this and something forks faster than we can stop it; kill what was found.
constexpr int kMostRounds = 64;

}  // namespace

std::uint64_t private_bytes(pid_t pid) {
  // `size resident shared text lib data dirty`, in pages; much cheaper to make than `status`.
  const auto text = read_file("/proc/" + std::to_string(pid) + "/statm");
  if (!text.ok()) return 0;
  std::array<std::uint64_t, 3> pages{};
  const char* next = text->data();
  const char* const end = next + text->size();
  for (std::uint64_t& number : pages) {
    const auto [after, error] = std::from_chars(next, end, number);
    if (error != std::errc{}) return 0;
    next = after < end ? after + 1 : after;
  }
  const std::uint64_t own = pages[1] > pages[2] ? pages[1] - pages[2] : 0;
  return own * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::optional<std::uint64_t> proportional_bytes(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  constexpr std::string_view kKey = "\nPss_Anon:";
  const std::size_t key = text.ok() ? text->find(kKey) : std::string::npos;
  if (key == std::string::npos) return std::nullopt;
  const std::size_t start = text->find_first_not_of(' ', key + kKey.size());
  if (start == std::string::npos) return std::nullopt;
  std::uint64_t kibibytes = 0;
  std::from_chars(text->data() + start, text->data() + text->size(), kibibytes);
  return kibibytes * 1024;
}

std::vector<pid_t> descendants(pid_t pid) {
  std::vector<pid_t> found{pid};
  const bool listed = kernel_lists_children();
  std::map<pid_t, std::vector<pid_t>> parents;
  if (!listed) parents = scan_parents();
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::vector<pid_t> children;
    if (listed) add_listed_children(found[i], children);
    if (!listed) children = parents[found[i]];
    for (const pid_t child : children) {
      // A recycled number could close a circle.
      if (std::find(found.begin(), found.end(), child) == found.end()) found.push_back(child);
    }
  }
  found.erase(found.begin());
  return found;
}

void kill_tree(pid_t pid) {
  if (pid <= 1) return;  // to kill(), 0 and -1 mean many processes
  // Stopped first, killed afterwards: killing a parent hands its children to another process,
  // where they cannot be found any more, and a running one may fork between look and kill.
  std::vector<pid_t> seen{pid};
  std::set<pid_t> known{pid};
  kill(pid, SIGSTOP);
  for (int round = 0; round < kMostRounds; ++round) {
    const std::size_t before = seen.size();
    for (const pid_t below : descendants(pid)) {
      if (!known.insert(below).second) continue;
      kill(below, SIGSTOP);
      seen.push_back(below);
    }
    if (seen.size() == before) break;
  }
  for (const pid_t victim : seen) kill(victim, SIGKILL);
}

}  // namespace pyhost::base
