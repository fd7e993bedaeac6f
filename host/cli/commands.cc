// commands.cc: dispatch, and what has to be so before anything is opened.
#include <cli/call.h>
#include <cli/commands.h>
#include <cli/doctor.h>
#include <cli/exit_code.h>
#include <cli/help.h>
#include <cli/map.h>
#include <cli/output.h>
#include <cli/run.h>
#include <cli/signals.h>
#include <cli/spelling.h>
#include <fcntl.h>
#include <unistd.h>

#include <span>

namespace pyhost::cli {
namespace {

struct Entry {
  std::string_view name;
  int (*run)(std::span<const std::string>);
};

int run_help(std::span<const std::string> words) {
  return words.empty() ? print_overview() : print_topic(words.front());
}

constexpr Entry kCommands[] = {{"run", run_run},
                               {"map", run_map},
                               {"call", run_call},
                               {"doctor", run_doctor},
                               {"help", run_help}};

// With 0, 1 or 2 closed, the next descriptor opened would take its number, and what is meant for
// stdout would go into a worker's memory. A closed stdout is filled with something that refuses
// writes, so that the result is not lost in silence. The interpreter that `run` becomes finds
// closed what was closed, and has None for that stream.
void fill_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    [[maybe_unused]] const int opened =
        ::open("/dev/null", (fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  }
}

int unknown_command(const std::string& word) {
  Messages messages;
  std::vector<std::string> names;
  for (const Entry& entry : kCommands) names.emplace_back(entry.name);
  if (word.ends_with(".py")) {
    messages.say("`" + word + "` is no command; to run a script write `pyhost run " + word + "`");
  } else {
    const bool option = word.starts_with('-');
    messages.say(std::string("unknown ") + (option ? "option" : "command") + " `" + word + "`" +
                 (option ? "; options follow a command" : suggestion(word, names)));
  }
  messages.write("  see `pyhost --help`\n");
  return kUsage;
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    Messages().write(overview());
    return kUsage;
  }
  const std::string& first = words.front();
  if (first == "--help" || first == "-h") return print_overview();
  if (first == "--version" || first == "-V") {
    Messages messages;
    return write_out("pyhost " PYHOST_VERSION "\n", messages);
  }
  for (const Entry& entry : kCommands) {
    if (entry.name == first) return entry.run(std::span(words).subspan(1));
  }
  return unknown_command(first);
}

}  // namespace

int run_commands(const std::vector<std::string>& words) {
  fill_standard_descriptors();
  const int status = dispatch(words);
  if (status == kReaderGone) Signals::die_of(SIGPIPE);
  return status;
}

}  // namespace pyhost::cli
