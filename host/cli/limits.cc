// limits.cc: checks the values, one option after the other.
#include <base/system.h>
#include <cli/limits.h>
#include <cli/quantities.h>
#include <cli/spelling.h>
#include <cli/target.h>
#include <cli/text.h>
#include <pool/words.h>
#include <pyhost/error.h>

#include <algorithm>
#include <cctype>
#include <optional>

namespace pyhost::cli {
namespace {

const std::vector<std::string> kRetried = {"crashed", "timeout", "memory", "cpu", "exception"};
const std::string kAllowed =
    "crashed, timeout, memory, cpu, exception, or names of Python exceptions (OSError)";
constexpr Code kNeverRetried[] = {
    Code::cancelled,           Code::marshal,      Code::startup, Code::violation,
    Code::sandbox_unavailable, Code::backpressure, Code::protocol};
// More is a loop that somebody will have to kill.
constexpr std::uint64_t kMostRetries = 1'000'000;
// Each call in flight has a thread or a coroutine in the worker, and a record in its ring.
constexpr std::uint64_t kMostConcurrency = 10'000;
constexpr std::uint64_t kMostThreads = 4096;
constexpr std::uint64_t kMostTasks = std::uint64_t{1} << 53;  // JSON carries it exactly

Result<void> check_retried(const std::string& name) {
  const auto refused = [&](const std::string& problem) {
    return Error(Code::startup, "`--retry-on " + name + "` " + problem);
  };
  for (const Code code : kNeverRetried) {
    if (name == kind_name(code)) {
      return refused("names a failure that is never retried; write " + kAllowed);
    }
  }
  if (!is_dotted_name(name)) {
    return refused("is no name of an exception; write " + kAllowed);
  }
  // Exceptions begin with a capital or belong to a module; what looks like a kind is meant as one.
  const bool plain = std::islower(static_cast<unsigned char>(name.front())) != 0 &&
                     name.find('.') == std::string::npos;
  const bool kind = std::find(kRetried.begin(), kRetried.end(), name) != kRetried.end();
  if (plain && !kind) {
    if (const std::string meant = closest(name, kRetried); !meant.empty()) {
      return refused("is no kind of failure; did you mean `" + meant + "`?");
    }
  }
  return {};
}

using Duration = std::chrono::nanoseconds;
using DurationParser = Result<Duration> (*)(std::string_view, std::string_view);

// Stores what `parse` makes of the option into `place` when it was given.
template <class Place, class Parse>
Result<void> read(const OptionValues& options, std::string_view name, Place& place,
                  const Parse& parse) {
  const std::optional<std::string> text = options.get(name);
  if (!text) return {};
  auto value = parse(name, *text);
  if (!value) return value.error();
  place = static_cast<Place>(*value);
  return {};
}

auto counted(std::uint64_t least, std::uint64_t most) {
  return [=](std::string_view name, std::string_view text) {
    return parse_count(name, text, least, most);
  };
}

Result<void> read_counts(const OptionValues& options, PoolOptions& pool) {
  if (auto ok = read(options, "retries", pool.retries, counted(0, kMostRetries)); !ok) return ok;
  if (auto ok = read(options, "concurrency", pool.concurrency, counted(1, kMostConcurrency)); !ok)
    return ok;
  if (auto ok =
          read(options, "threads-per-worker", pool.threads_per_worker, counted(1, kMostThreads));
      !ok)
    return ok;
  return read(options, "max-tasks-per-worker", pool.max_tasks_per_worker, counted(1, kMostTasks));
}

Result<void> read_durations(const OptionValues& options, PoolOptions& pool) {
  const DurationParser some = parse_duration;
  const DurationParser or_zero = parse_duration_or_zero;
  if (auto ok = read(options, "timeout", pool.timeout, some); !ok) return ok;
  if (auto ok = read(options, "cpu", pool.cpu, some); !ok) return ok;
  if (auto ok = read(options, "grace", pool.grace, or_zero); !ok) return ok;
  if (auto ok = read(options, "max-worker-age", pool.max_worker_age, some); !ok) return ok;
  return read(options, "idle", pool.idle_time, or_zero);
}

}  // namespace

Result<std::uint64_t> parse_memory(std::string_view option, std::string_view text,
                                   std::uint64_t usable) {
  Result<std::uint64_t> bytes = parse_size(option, text);
  if (!bytes) return bytes;
  const std::string shown = "`--" + std::string(option) + " " + std::string(text) + "` ";
  if (*bytes < kLeastMemory) {
    return Error(Code::startup, shown + "is " + pool::bytes_text(*bytes) +
                                    ", too little for an interpreter; the least is " +
                                    pool::bytes_text(kLeastMemory));
  }
  if (*bytes > usable) {
    return Error(Code::startup, shown + "is more than the " + pool::bytes_text(usable) +
                                    " this machine or container has; it would never be reached");
  }
  return bytes;
}

Result<std::vector<std::string>> parse_retry_on(const std::vector<std::string>& lists) {
  std::vector<std::string> names = split_lists(lists);
  for (const std::string& name : names) {
    if (auto checked = check_retried(name); !checked) return checked.error();
  }
  if (names.empty() && !lists.empty()) {
    return Error(Code::startup,
                 "`--retry-on " + lists.back() + "` names nothing; write " + kAllowed);
  }
  return names;
}

Result<void> read_limits(const OptionValues& options, PoolOptions& pool) {
  if (auto ok = read_durations(options, pool); !ok) return ok;
  if (auto ok = read_counts(options, pool); !ok) return ok;
  const auto memory = [](std::string_view name, std::string_view text) {
    return parse_memory(name, text, base::usable_memory());
  };
  if (auto ok = read(options, "memory", pool.memory, memory); !ok) return ok;
  if (auto ok = read(options, "max-worker-memory", pool.max_worker_memory, memory); !ok) return ok;
  Result<std::vector<std::string>> retry_on = parse_retry_on(options.all("retry-on"));
  if (!retry_on) return retry_on.error();
  if (!retry_on->empty() && !options.has("retries")) {
    return Error(Code::startup, "`--retry-on` says for what, not how often; add `--retries N`");
  }
  pool.retry_on = std::move(*retry_on);
  return {};
}

}  // namespace pyhost::cli
