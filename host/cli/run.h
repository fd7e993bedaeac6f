// run.h: `pyhost run`: becomes the interpreter that runs a script.
#pragma once

#include <cli/command_line.h>
#include <process/python.h>
#include <pyhost/result.h>

#include <span>
#include <string>
#include <vector>

namespace pyhost::cli {

enum class RunMode : std::uint8_t { file, module, command };

// A command line of `run`, taken apart.
struct RunLine {
  std::vector<std::string> python_flags;  // -X dev, -O, ...; before the script, as they were given
  RunMode mode = RunMode::file;
  std::string target;                  // script, module or code
  std::vector<std::string> arguments;  // of the script: what followed `--`
  OptionValues options;
};

// Error: an option that neither pyhost nor (before the script) Python has, a second positional, no
// script.
Result<RunLine> parse_run_line(std::span<const std::string> words);

// The command that takes this process over, per image as docs/architecture.md says. `defaults` is
// the OPTIONS of that page.
std::vector<std::string> run_command(const RunLine& line, const process::Python& python,
                                     process::Image image, const process::RuntimeFiles& files,
                                     const std::string& defaults);

// Returns only when the interpreter could not be started: the exit status.
int run_run(std::span<const std::string> words);

}  // namespace pyhost::cli
