// workers.cc: one number, four ways to write it.
#include <cli/workers.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace pyhost::cli {
namespace {

Error bad_count(std::string_view text, std::string_view problem) {
  return {Code::startup, "`--workers " + std::string(text) + "` " + std::string(problem) +
                             "; write a count (8), a share of the CPUs (50%), more or fewer than "
                             "them (+2, -1), or auto"};
}

}  // namespace

Result<int> parse_workers(std::string_view text, int cpus) {
  if (text == "auto") return std::max(1, cpus);
  const bool more = text.starts_with('+');
  const bool fewer = text.starts_with('-');
  const bool share = text.ends_with('%');
  std::string_view digits = text;
  if (more || fewer) digits.remove_prefix(1);
  if (share) digits.remove_suffix(1);

  long long number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || digits.starts_with('-') || (share && (more || fewer))) {
    return bad_count(text, "is no worker count");
  }
  if (number > 1'000'000) return bad_count(text, "is too many");
  if (number == 0 && !more && !fewer) return bad_count(text, "leaves no worker");

  long long count = number;
  if (share) count = cpus * number / 100;
  if (more) count = cpus + number;
  if (fewer) count = cpus - number;
  if (count > kMostWorkers) {
    return bad_count(text, "means " + std::to_string(count) + " workers; the most is " +
                               std::to_string(kMostWorkers));
  }
  return static_cast<int>(std::max<long long>(1, count));
}

}  // namespace pyhost::cli
