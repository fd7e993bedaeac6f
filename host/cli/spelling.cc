// spelling.cc: optimal string alignment distance, with three rows.
#include <cli/spelling.h>

#include <algorithm>
#include <cstddef>

namespace pyhost::cli {
namespace {

// Longer names are file names at worst; comparing more would only cost time.
constexpr std::size_t kLongestCompared = 256;

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string closest(std::string_view wanted, std::span<const std::string> names) {
  if (wanted.empty() || wanted.size() > kLongestCompared) return {};
  const std::string* best = nullptr;
  // One slip in three letters still reads as the same word; with more, any word resembles another.
  std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > kLongestCompared) continue;
    const bool abbreviated = wanted.size() >= 3 && name.starts_with(wanted);
    const std::size_t edits = abbreviated ? 1 : distance(wanted, name);
    if (edits < best_distance) {
      best = &name;
      best_distance = edits;
    }
  }
  return best == nullptr ? std::string() : *best;
}

std::string suggestion(std::string_view wanted, std::span<const std::string> names) {
  const std::string name = closest(wanted, names);
  return name.empty() ? std::string() : "; did you mean `" + name + "`?";
}

}  // namespace pyhost::cli
