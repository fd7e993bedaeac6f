// workers.cc: one number, four ways to write it, or two with a colon.
#include <cli/workers.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace pyhost::cli {
namespace {

Error bad_count(std::string_view text, std::string_view problem) {
  return {Code::startup, "`--workers " + std::string(text) + "` " + std::string(problem) +
                             "; write a count (8), a share of the CPUs (50%), more or fewer than "
                             "them (+2, -1), auto, or MIN:MAX (0:8)"};
}

// One count. `whole` is what the user wrote, for messages.
Result<int> parse_one(std::string_view text, std::string_view whole, int cpus, bool zero_allowed) {
  if (text == "auto") return std::max(1, cpus);
  const bool more = text.starts_with('+');
  const bool fewer = text.starts_with('-');
  const bool share = text.ends_with('%');
  std::string_view digits = text;
  if (more || fewer) digits.remove_prefix(1);
  if (share) digits.remove_suffix(1);

  long long number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool complete = error == std::errc() && end == digits.data() + digits.size();
  if (!complete || digits.starts_with('-') || (share && (more || fewer))) {
    return bad_count(whole, "is no worker count");
  }
  if (number > 1'000'000) return bad_count(whole, "is too many");
  if (number == 0 && !more && !fewer) {
    if (zero_allowed && !share) return 0;
    return bad_count(whole, "leaves no worker");
  }

  long long count = number;
  if (share) count = cpus * number / 100;
  if (more) count = cpus + number;
  if (fewer) count = cpus - number;
  if (count > kMostWorkers) {
    return bad_count(whole, "means " + std::to_string(count) + " workers; the most is " +
                                std::to_string(kMostWorkers));
  }
  return static_cast<int>(std::max<long long>(1, count));
}

}  // namespace

Result<WorkerCount> parse_workers(std::string_view text, int cpus) {
  const std::size_t colon = text.find(':');
  const bool range = colon != std::string_view::npos;
  Result<int> most = parse_one(range ? text.substr(colon + 1) : text, text, cpus, false);
  if (!most) return most.error();
  if (!range) return WorkerCount(*most);
  Result<int> fewest = parse_one(text.substr(0, colon), text, cpus, true);
  if (!fewest) return fewest.error();
  if (*fewest > *most) {
    return bad_count(text, "has a minimum of " + std::to_string(*fewest) +
                               " above its maximum of " + std::to_string(*most));
  }
  return WorkerCount(*fewest, *most);
}

}  // namespace pyhost::cli
