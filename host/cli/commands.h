// commands.h: which command the first word means.
#pragma once

#include <string>
#include <vector>

namespace pyhost::cli {

// Runs `words` (without the program's name) and returns the exit status; ends the process by
// SIGPIPE when the reader of stdout is gone.
int run_commands(const std::vector<std::string>& words);

}  // namespace pyhost::cli
