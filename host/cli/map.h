// map.h: `pyhost map TARGET [INPUT...]`: one call per line, one line per result.
#pragma once

#include <span>
#include <string>

namespace pyhost::cli {

// Returns the exit status of the command.
int run_map(std::span<const std::string> words);

}  // namespace pyhost::cli
