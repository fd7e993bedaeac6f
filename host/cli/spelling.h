// spelling.h: the name somebody probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

// The closest of `names` to `wanted` by edits (swapped neighbours count once), or "" when none is
// close enough to be worth showing.
std::string closest(std::string_view wanted, std::span<const std::string> names);

// "; did you mean `name`?" or "".
std::string suggestion(std::string_view wanted, std::span<const std::string> names);

}  // namespace pyhost::cli
