#include <pool/words.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace pyhost::pool {

std::string seconds_text(base::Duration duration) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.3g s",
                std::chrono::duration<double>(duration).count());
  return text.data();
}

std::string elapsed_text(double seconds) {
  if (!(seconds >= 0)) return "0 s";
  if (seconds < 0.001) return "less than 1 ms";
  const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e15));
  const auto pair = [](std::uint64_t large, const char* unit, std::uint64_t small,
                       const char* small_unit) {
    return std::to_string(large) + unit + std::to_string(small) + small_unit;
  };
  if (whole >= 3600) return pair(whole / 3600, " h ", whole / 60 % 60, " min");
  if (whole >= 60) return pair(whole / 60, " min ", whole % 60, " s");
  std::array<char, 32> text;
  if (seconds < 1) {
    std::snprintf(text.data(), text.size(), "%.0f ms", std::floor(seconds * 1000));
  } else {
    std::snprintf(text.data(), text.size(), "%.3g s", std::floor(seconds * 10) / 10);
  }
  return text.data();
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  double number = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; number >= 1024 && unit + 1 < kUnits.size(); ++unit) number /= 1024;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.4g %s", number, kUnits[unit]);
  return text.data();
}

std::string cut_text(std::string text, std::size_t most) {
  constexpr std::string_view kEllipsis = "...";
  if (text.size() <= most) return text;
  std::size_t end = most > kEllipsis.size() ? most - kEllipsis.size() : 0;
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (end > 0 && continues(end)) --end;
  text.resize(end);
  return text.append(kEllipsis);
}

}  // namespace pyhost::pool
