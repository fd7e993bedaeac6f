// command_line.cc: the table, and one loop over the words.
#include <cli/command_line.h>
#include <cli/spelling.h>

#include <cctype>

namespace pyhost::cli {
namespace {

constexpr unsigned kRun = static_cast<unsigned>(Command::run);
constexpr unsigned kMap = static_cast<unsigned>(Command::map);
constexpr unsigned kCall = static_cast<unsigned>(Command::call);
constexpr unsigned kDoctor = static_cast<unsigned>(Command::doctor);
constexpr unsigned kPool = kRun | kMap | kCall;

constexpr OptionSpec kOptions[] = {
    {"workers", "N", kPool, 'j'},
    {"python", "WHICH", kPool | kDoctor},
    {"image", "IMAGE", kPool},
    {"start", "METHOD", kPool},
    {"preload", "MODULES", kPool},
    {"timeout", "SECONDS", kPool},
    {"cpu", "SECONDS", kPool},
    {"grace", "SECONDS", kPool},
    {"retries", "N", kPool},
    {"retry-on", "KINDS", kPool},
    {"memory", "SIZE", kPool},
    {"concurrency", "K", kPool},
    {"threads-per-worker", "N", kPool},
    {"max-tasks-per-worker", "N", kPool},
    {"max-worker-age", "SECONDS", kPool},
    {"max-worker-memory", "SIZE", kPool},
    {"idle", "SECONDS", kPool},
    {"init", "FUNCTION", kMap | kCall},
    {"adopt", "WHAT", kRun},
    {"verbose", "", kRun, 'v'},
    {"call", "STYLE", kMap},
    {"raw-input", "", kMap, 'R'},
    {"null", "", kMap, '0'},
    {"raw-output", "", kMap | kCall, 'r'},
    {"unordered", "", kMap},
    {"records", "", kMap},
    {"kwargs", "JSON", kCall},
    {"json", "", kDoctor},
    {"help", "", kPool | kDoctor, 'h'},
};

Error usage(std::string message) {
  return {Code::startup, std::move(message)};
}

bool knows(Command command, const OptionSpec& option) {
  return (option.commands & static_cast<unsigned>(command)) != 0;
}

// Under `run`, most unknown options are meant for the script.
std::string with_hint(std::string message, Command command) {
  if (command != Command::run) return message;
  message += message.ends_with('?') ? " " : "; ";
  return message + "arguments for the script go after `--`";
}

Error unknown_option(Command command, const std::string& shown, std::string_view name) {
  std::vector<std::string> names;
  for (const OptionSpec& option : kOptions) {
    if (knows(command, option)) names.push_back("--" + std::string(option.name));
    if (knows(command, option) || option.name != name) continue;
    for (const Command other : {Command::run, Command::map, Command::call, Command::doctor}) {
      if (!knows(other, option)) continue;
      std::string message = "option `" + shown + "` belongs to `pyhost ";
      message += command_name(other);
      message += "`, not to `pyhost ";
      message += command_name(command);
      return usage(with_hint(message + "`", command));
    }
  }
  std::string message = "unknown option `" + shown + "`";
  if (name == "sandbox") {
    return usage(message + ": there is no sandbox yet, a function may do whatever you may");
  }
  message += suggestion("--" + std::string(name), names);
  return usage(with_hint(std::move(message), command));
}

const OptionSpec* find_long(Command command, std::string_view name) {
  for (const OptionSpec& option : kOptions) {
    if (option.name == name && knows(command, option)) return &option;
  }
  return nullptr;
}

const OptionSpec* find_letter(Command command, char letter) {
  for (const OptionSpec& option : kOptions) {
    if (option.letter == letter && letter != '\0' && knows(command, option)) return &option;
  }
  return nullptr;
}

Error value_missing(const std::string& shown, const OptionSpec& option) {
  return usage("option `" + shown + "` needs a value: `" + shown + " " + std::string(option.value) +
               "`");
}

}  // namespace

std::string_view command_name(Command command) {
  switch (command) {
    case Command::run:
      return "run";
    case Command::map:
      return "map";
    case Command::call:
      return "call";
    case Command::doctor:
      return "doctor";
  }
  return "";
}

std::span<const OptionSpec> option_table() {
  return kOptions;
}

std::optional<std::string> OptionValues::get(std::string_view name) const {
  for (auto option = given_.rbegin(); option != given_.rend(); ++option) {
    if (option->first == name) return option->second;
  }
  return std::nullopt;
}

std::vector<std::string> OptionValues::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [given, value] : given_) {
    if (given == name) values.push_back(value);
  }
  return values;
}

Result<void> take_long_option(Command command, Words& words, OptionValues& options) {
  const std::string word = words.take();
  const std::size_t equals = word.find('=');
  const std::string shown = word.substr(0, equals);
  const OptionSpec* option = find_long(command, std::string_view(shown).substr(2));
  if (option == nullptr) return unknown_option(command, shown, std::string_view(shown).substr(2));
  if (option->value.empty()) {
    if (equals != std::string::npos) {
      return usage("option `" + shown + "` takes no value, got `" + word.substr(equals + 1) + "`");
    }
    options.add(option->name, "");
    return {};
  }
  if (equals != std::string::npos) {
    options.add(option->name, word.substr(equals + 1));
    return {};
  }
  if (words.done()) return value_missing(shown, *option);
  options.add(option->name, words.take());
  return {};
}

Result<void> take_short_options(Command command, Words& words, OptionValues& options) {
  const std::string word = words.take();
  for (std::size_t at = 1; at < word.size(); ++at) {
    const std::string shown = std::string("-") + word[at];
    const OptionSpec* option = find_letter(command, word[at]);
    if (option == nullptr) return unknown_option(command, at == 1 ? word : shown, word.substr(1));
    if (option->value.empty()) {
      options.add(option->name, "");
      continue;
    }
    std::string value = word.substr(at + 1);
    if (value.starts_with('=')) value.erase(0, 1);
    if (value.empty() && words.done()) return value_missing(shown, *option);
    options.add(option->name, value.empty() ? words.take() : value);
    return {};
  }
  return {};
}

Result<CommandLine> parse_command_line(Command command, std::span<const std::string> list) {
  CommandLine line;
  Words words(list);
  while (!words.done()) {
    const std::string& word = words.front();
    const bool number = word.size() > 1 && word[0] == '-' &&
                        std::isdigit(static_cast<unsigned char>(word[1])) != 0 &&
                        find_letter(command, word[1]) == nullptr;
    if (word == "--") {
      words.take();
      for (std::string& rest : words.rest()) line.positionals.push_back(std::move(rest));
      break;
    }
    if (word == "-" || number || !word.starts_with('-')) {
      line.positionals.push_back(words.take());
      continue;
    }
    Result<void> taken = word.starts_with("--") ? take_long_option(command, words, line.options)
                                                : take_short_options(command, words, line.options);
    if (!taken) return taken.error();
  }
  return line;
}

Result<void> check_choice(const OptionValues& options, std::string_view name,
                          std::span<const std::string> choices) {
  const std::optional<std::string> given = options.get(name);
  if (!given) return {};
  std::string list;
  for (const std::string& choice : choices) {
    if (choice == *given) return {};
    list += (list.empty() ? "" : ", ") + choice;
  }
  std::string message = "`--" + std::string(name) + " " + *given + "` is not one of " + list;
  return usage(message + suggestion(*given, choices));
}

}  // namespace pyhost::cli
