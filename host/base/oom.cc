#include <base/oom.h>
#include <base/system.h>

#include <charconv>
#include <string>

namespace pyhost::base {

std::uint64_t counter_in(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
    std::uint64_t number = 0;
    std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), number);
    return number;
  }
  return 0;
}

std::uint64_t oom_kills() {
  std::uint64_t count = 0;
  if (const auto text = read_file("/proc/vmstat"); text.ok())
    count += counter_in(*text, "oom_kill");
  // A container may see its own group only. Version 2 has one line, `0::/path`.
  const auto groups = read_file("/proc/self/cgroup");
  const std::size_t start = groups.ok() ? groups->find("0::/") : std::string::npos;
  if (start == std::string::npos) return count;
  const std::string path = groups->substr(start + 3, groups->find('\n', start) - start - 3);
  const auto events = read_file("/sys/fs/cgroup" + path + "/memory.events");
  return events.ok() ? count + counter_in(*events, "oom_kill") : count;
}

}  // namespace pyhost::base
