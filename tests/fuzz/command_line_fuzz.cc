// command_line_fuzz.cc: any words as a command line, and any values as the options of a pool.
#include <cli/command_line.h>
#include <cli/pool_settings.h>

#include <string>
#include <vector>

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyhost::cli;
  pyhost::fuzz::Input input(data, size);
  static constexpr Command kCommands[] = {Command::run, Command::map, Command::call,
                                          Command::doctor};
  const Command command = kCommands[input.take<std::uint8_t>() % std::size(kCommands)];
  std::vector<std::string> words;
  for (std::string_view left = input.rest(); !left.empty();) {
    words.emplace_back(left.substr(0, left.find('\0')));
    left.remove_prefix(std::min(words.back().size() + 1, left.size()));
  }

  const auto parsed = parse_command_line(command, words);
  if (!parsed.ok()) {
    PYHOST_MUST(!parsed.error().message.empty());
    return 0;
  }
  PYHOST_MUST(parsed->positionals.size() <= words.size());
  const auto options = pool_options(parsed->options, {});
  if (options.ok()) {
    PYHOST_MUST(options->workers.max >= 0 && options->workers.min <= options->workers.max);
    PYHOST_MUST(options->retries >= 0 && options->concurrency >= 1);
    PYHOST_MUST(!options->timeout || options->timeout->count() > 0);
  } else {
    PYHOST_MUST(!options.error().message.empty());
  }
  const auto json = pool_defaults_json(parsed->options);
  PYHOST_MUST(!json.ok() || json->starts_with('{'));
  return 0;
}
