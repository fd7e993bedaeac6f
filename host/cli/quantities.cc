// quantities.cc: numbers with units, both ways.
#include <cli/quantities.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace pyhost::cli {
namespace {

Error refusal(std::string_view option, std::string_view text, const std::string& problem) {
  return {Code::startup, "`--" + std::string(option) + " " + std::string(text) + "` " + problem};
}

// A number at the front, and what follows it. `number` is not finite when there is none.
struct Measured {
  double number = NAN;
  std::string unit;
};

Measured split_unit(std::string_view text) {
  Measured measured;
  const char* end = text.data() + text.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error == std::errc()) measured.number = number;
  measured.unit.assign(rest, end);
  return measured;
}

Result<std::chrono::nanoseconds> duration(std::string_view option, std::string_view text,
                                          bool zero_allowed) {
  const auto wrong = [&](const std::string& problem) {
    return refusal(option, text,
                   problem + "; write seconds (2, 0.5) or a unit (500ms, 2s, 1m, 1h)");
  };
  const Measured measured = split_unit(text);
  double factor = 0;
  if (measured.unit.empty() || measured.unit == "s") factor = 1;
  if (measured.unit == "ms") factor = 1e-3;
  if (measured.unit == "m") factor = 60;
  if (measured.unit == "h") factor = 3600;
  const double seconds = measured.number * factor;
  if (factor == 0 || !std::isfinite(seconds)) return wrong("is no duration");
  if (seconds < 0) return wrong("is less than no time");
  if (seconds < 1e-6 && !(zero_allowed && seconds == 0)) return wrong("leaves no time at all");
  // A hundred years: beyond it nanoseconds would overflow.
  if (seconds > 3.2e9) return wrong("is more than a hundred years");
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view option, std::string_view text) {
  return duration(option, text, false);
}

Result<std::chrono::nanoseconds> parse_duration_or_zero(std::string_view option,
                                                        std::string_view text) {
  return duration(option, text, true);
}

Result<std::uint64_t> parse_size(std::string_view option, std::string_view text) {
  const auto wrong = [&](const std::string& problem) {
    return refusal(option, text, problem + "; write bytes or a unit (512M, 1.5G, 2GiB)");
  };
  Measured measured = split_unit(text);
  std::string& unit = measured.unit;
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.ends_with("ib") && unit.size() == 3) {
    unit.resize(1);
  } else if (unit.ends_with('b')) {
    unit.pop_back();
  }
  constexpr std::string_view prefixes = "kmgt";
  const std::size_t power = unit.empty() ? 0 : prefixes.find(unit) + 1;  // npos + 1 is 0
  if (unit.size() > 1 || (!unit.empty() && power == 0)) return wrong("is no size");
  const double bytes = std::ldexp(measured.number, static_cast<int>(10 * power));
  if (!std::isfinite(bytes)) return wrong("is no size");
  if (bytes < 1) return wrong("is less than one byte");
  if (bytes > std::ldexp(1, 60)) return wrong("is more than any machine has");
  return static_cast<std::uint64_t>(bytes);
}

Result<std::uint64_t> parse_count(std::string_view option, std::string_view text,
                                  std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const bool whole = !text.empty() && rest == end && error != std::errc::invalid_argument;
  if (!whole || error != std::errc() || number < least || number > most) {
    return refusal(option, text,
                   std::string(whole ? "is out of range" : "is no whole number") +
                       "; write one from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

}  // namespace pyhost::cli
