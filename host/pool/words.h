// words.h: quantities as messages show them.
#pragma once

#include <cstdint>
#include <string>

#include <base/clock.h>

namespace pyhost::pool {

std::string seconds_text(base::Duration duration);  // a limit, as it was given: "0.25 s"
// How long something took: "200 ms", "4.2 s", "3 min 5 s", "2 h 3 min".
std::string elapsed_text(double seconds);
std::string bytes_text(std::uint64_t bytes);  // "511.8 MiB", "1.5 GiB"
// At most `most` bytes of UTF-8 text: longer ones end in "...", never within a character.
std::string cut_text(std::string text, std::size_t most);

}  // namespace pyhost::pool
