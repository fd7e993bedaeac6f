// command_line.h: the options of all commands in one table, and how words become options.
#pragma once

#include <pyhost/result.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhost::cli {

enum class Command : unsigned { run = 1, map = 2, call = 4, doctor = 8 };
std::string_view command_name(Command command);

struct OptionSpec {
  std::string_view name;   // without the dashes
  std::string_view value;  // what the value is called in messages; empty: takes none
  unsigned commands;       // the Commands that know it, or-ed
  char letter = '\0';      // none
};
std::span<const OptionSpec> option_table();

// Options as they were given, in order.
class OptionValues {
 public:
  void add(std::string_view name, std::string value) {
    given_.emplace_back(name, std::move(value));
  }
  bool has(std::string_view name) const { return get(name).has_value(); }
  std::optional<std::string> get(std::string_view name) const;  // the last one counts
  std::vector<std::string> all(std::string_view name) const;

 private:
  std::vector<std::pair<std::string_view, std::string>> given_;
};

// The words of a command line, taken one after the other.
class Words {
 public:
  explicit Words(std::span<const std::string> words) : words_(words) {}
  bool done() const { return at_ == words_.size(); }
  const std::string& front() const { return words_[at_]; }
  const std::string& take() { return words_[at_++]; }
  std::vector<std::string> rest() {
    return {words_.begin() + static_cast<std::ptrdiff_t>(at_), words_.end()};
  }

 private:
  std::span<const std::string> words_;
  std::size_t at_ = 0;
};

// Takes `--name`, `--name=value` or `--name value` from the front of `words`. Error: unknown here
// (the closest spelling, or the command that knows it), value missing or not wanted.
Result<void> take_long_option(Command command, Words& words, OptionValues& options);
// Takes `-j 4`, `-j4` or flags together (`-rR`).
Result<void> take_short_options(Command command, Words& words, OptionValues& options);

struct CommandLine {
  OptionValues options;
  std::vector<std::string> positionals;
};

// Options and positionals in any order; after `--` everything is positional. A word like `-5` is a
// positional, since no option is a digit but `-0`.
Result<CommandLine> parse_command_line(Command command, std::span<const std::string> words);

// What `wanted` must be for the option `name`: one of `choices`.
Result<void> check_choice(const OptionValues& options, std::string_view name,
                          std::span<const std::string> choices);

}  // namespace pyhost::cli
