#include <base/cgroup.h>
#include <base/system.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

namespace pyhost::base {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

bool lists(std::string_view list, std::string_view name) {
  const auto names = split(list, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Hierarchy {
  std::string root;   // the group that is mounted, as the kernel names it
  std::string mount;  // where
  bool version2 = false;
};

// Lines are `id parent device root mount options [more] - type source super-options`.
std::vector<Hierarchy> hierarchies(std::string_view mountinfo, std::string_view controller) {
  std::vector<Hierarchy> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto head = split(line.substr(0, dash), ' ');
    const auto tail = split(line.substr(dash + 3), ' ');
    if (head.size() < 5 || tail.size() < 3) continue;
    const bool version2 = tail[0] == "cgroup2";
    if (!version2 && !(tail[0] == "cgroup" && lists(tail[2], controller))) continue;
    found.push_back({std::string(head[3]), std::string(head[4]), version2});
  }
  return found;
}

// Lines are `id:controllers:path`; version 2 is `0::path`.
std::optional<std::string> own_group(std::string_view cgroup, std::string_view controller,
                                     bool version2) {
  for (const std::string_view line : split(cgroup, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (version2 ? controllers.empty() : lists(controllers, controller)) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> cpu_quota(const std::string& folder, bool version2) {
  std::optional<std::int64_t> time;
  std::optional<std::int64_t> period;
  if (version2) {
    const auto text = read_file(folder + "/cpu.max");  // `max 100000` or `150000 100000`
    if (!text.ok()) return std::nullopt;
    const std::size_t space = text->find(' ');
    time = number(*text);
    if (space != std::string::npos) period = number(std::string_view(*text).substr(space + 1));
  } else {
    const auto time_text = read_file(folder + "/cpu.cfs_quota_us");  // -1: no cap
    const auto period_text = read_file(folder + "/cpu.cfs_period_us");
    if (!time_text.ok() || !period_text.ok()) return std::nullopt;
    time = number(*time_text);
    period = number(*period_text);
  }
  if (!time || !period || *time <= 0 || *period <= 0) return std::nullopt;
  return static_cast<std::uint64_t>(
      std::min<std::int64_t>((*time + *period - 1) / *period, 1 << 20));
}

// Version 1 says "no limit" with a number close to 2^63.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;

std::optional<std::uint64_t> memory_limit(const std::string& folder, bool version2) {
  std::optional<std::uint64_t> least;
  const auto look_at = [&](const char* name) {
    const auto text = read_file(folder + name);  // `max`, or bytes
    const auto bytes = text.ok() ? number(*text) : std::nullopt;
    if (!bytes || *bytes <= 0 || *bytes >= kNoLimit) return;
    const auto limit = static_cast<std::uint64_t>(*bytes);
    least = std::min(least.value_or(limit), limit);
  };
  if (version2) {
    look_at("/memory.max");
    look_at("/memory.high");  // above it the group is throttled until nothing moves
  } else {
    look_at("/memory.limit_in_bytes");
  }
  return least;
}

// The least of what `limit(folder, version2)` says of this process's group and every one above it.
template <class Limit>
std::optional<std::uint64_t> least(std::string_view mountinfo, std::string_view cgroup,
                                   std::string_view controller, Limit limit) {
  std::optional<std::uint64_t> least;
  for (const Hierarchy& hierarchy : hierarchies(mountinfo, controller)) {
    std::string group = own_group(cgroup, controller, hierarchy.version2).value_or("/");
    // In a container the mounted root may be our own group: only what lies below it is visible.
    if (hierarchy.root != "/" && group.starts_with(hierarchy.root)) {
      group.erase(0, hierarchy.root.size());
    }
    for (;;) {
      while (group.ends_with('/')) group.pop_back();
      const std::optional<std::uint64_t> here = limit(hierarchy.mount + group, hierarchy.version2);
      if (here) least = std::min(least.value_or(*here), *here);
      const std::size_t slash = group.rfind('/');
      if (slash == std::string::npos) break;
      group.resize(slash);
    }
  }
  return least;
}

}  // namespace

std::optional<int> cgroup_cpus(std::string_view mountinfo, std::string_view cgroup) {
  const auto cpus = least(mountinfo, cgroup, "cpu", cpu_quota);
  if (!cpus) return std::nullopt;
  return std::max(1, static_cast<int>(*cpus));
}

std::optional<std::uint64_t> cgroup_memory(std::string_view mountinfo, std::string_view cgroup) {
  return least(mountinfo, cgroup, "memory", memory_limit);
}

}  // namespace pyhost::base
