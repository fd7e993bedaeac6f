// run.cc: parse, find, exec in place: same process, terminal, signals and exit status.
#include <base/system.h>
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/help.h>
#include <cli/output.h>
#include <cli/pool_settings.h>
#include <cli/run.h>
#include <cli/spelling.h>
#include <fcntl.h>
#include <process/boot.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace pyhost::cli {
namespace {

constexpr std::string_view kPlainFlags = "OuBEIsSiqbdP";
constexpr std::string_view kFlagsWithValue = "XW";

Error usage(std::string message) {
  return {Code::startup, std::move(message)};
}

// Takes one word such as `-BO`, `-Xdev`, `-W error`, `-m pkg` or `-j4`.
class ShortWord {
 public:
  ShortWord(RunLine& line, bool& has_target) : line_(line), has_target_(has_target) {}

  Result<void> take(Words& words) {
    const std::string word = words.front();
    const char first = word[1];
    if (first == 'j' || first == 'h' || first == 'v') {
      return take_short_options(Command::run, words, line_.options);
    }
    words.take();
    if (has_target_) {
      const bool python = kPlainFlags.find(first) != std::string_view::npos ||
                          std::string_view("XWmc").find(first) != std::string_view::npos;
      return usage(
          python ? "python's `" + word +
                       "` must stand before the script; arguments for the script go after `--`"
                 : "unknown option `" + word + "`; arguments for the script go after `--`");
    }
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char letter = word[at];
      if (kPlainFlags.find(letter) != std::string_view::npos) {
        line_.python_flags.push_back(std::string("-") + letter);
        continue;
      }
      return with_value(letter, word, word.substr(at + 1), words);
    }
    return {};
  }

 private:
  Result<void> with_value(char letter, const std::string& word, std::string value, Words& words) {
    const bool flag = kFlagsWithValue.find(letter) != std::string_view::npos;
    if (!flag && letter != 'm' && letter != 'c') {
      return usage("unknown option `" + (word.size() == 2 ? word : std::string("-") + letter) +
                   "`; of python's flags there are -X -W -O -u -B -E -I -P -s -S -i -q -b -d, "
                   "before the script");
    }
    if (value.empty() && words.done()) {
      return usage("option `-" + std::string(1, letter) + "` needs a value behind it");
    }
    if (value.empty()) value = words.take();
    if (flag) {
      line_.python_flags.push_back(std::string("-") + letter);
      line_.python_flags.push_back(std::move(value));
      return {};
    }
    line_.mode = letter == 'm' ? RunMode::module : RunMode::command;
    line_.target = std::move(value);
    has_target_ = true;
    return {};
  }

  RunLine& line_;
  bool& has_target_;
};

Error stray(const std::string& word, const RunLine& line) {
  return usage("`" + word + "` after `" + line.target +
               "` is no option of pyhost; arguments for the script go after `--`: `pyhost run " +
               line.target + " -- " + word + "`");
}

std::vector<std::string> neighbours(const std::filesystem::path& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::filesystem::path name = entry.path().filename();
    names.push_back((path.has_parent_path() ? folder / name : name).string());
  }
  return names;
}

// Whether Python may show its prompt after a script, even after one that cannot be opened.
bool prompt_may_follow(const std::vector<std::string>& flags) {
  const char* variable = std::getenv("PYTHONINSPECT");
  return std::find(flags.begin(), flags.end(), "-i") != flags.end() ||
         (variable != nullptr && *variable != '\0');
}

// Python would say so too, but only after an interpreter has come up, and without the suggestion.
bool script_can_be_opened(const std::string& script, const process::Python& python,
                          Messages& messages) {
  if (script == "-") return true;
  const base::UniqueFd fd(::open(script.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) return true;
  const int error = errno;
  std::error_code ignored;
  const std::string full = std::filesystem::absolute(script, ignored).string();
  std::string text = python.executable + ": can't open file '" + full + "': [Errno " +
                     std::to_string(error) + "] " + std::strerror(error) + "\n";
  const std::string close = error == ENOENT ? closest(script, neighbours(script)) : std::string();
  if (!close.empty()) text += "did you mean `" + close + "`?\n";
  messages.write(text);
  return false;
}

int replace_process(const std::vector<std::string>& command, Messages& messages) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  messages.say(
      base::system_error(Code::startup, "cannot execute `" + command.front() + "`", errno).message);
  return kHostFailed;
}

// What has to be known before the interpreter can be started.
struct Interpreter {
  process::Python python;
  process::ImageChoice image;
  process::RuntimeFiles files;
};

Result<Interpreter> find_interpreter(const OptionValues& options) {
  Result<process::Python> python = process::find_python(options.get("python").value_or(""));
  if (!python) return python.error();
  process::Image wanted = process::Image::automatic;
  const std::string name = options.get("image").value_or("auto");
  if (name == "libpython") wanted = process::Image::libpython;
  if (name == "executable") wanted = process::Image::executable;
  Result<process::ImageChoice> image = process::choose_image(*python, wanted);
  if (!image) return image.error();
  Result<process::RuntimeFiles> files = process::find_runtime_files(*python);
  if (!files) return files.error();
  return Interpreter{std::move(*python), std::move(*image), std::move(*files)};
}

}  // namespace

Result<RunLine> parse_run_line(std::span<const std::string> list) {
  RunLine line;
  bool has_target = false;
  Words words(list);
  while (!words.done()) {
    const std::string& word = words.front();
    Result<void> taken;
    if (word == "--") {
      words.take();
      if (has_target) line.arguments = words.rest();
      if (has_target || words.done()) break;
      line.target = words.take();  // as in `python -- script.py`
      has_target = true;
    } else if (word.starts_with("--")) {
      taken = take_long_option(Command::run, words, line.options);
    } else if (word.starts_with('-') && word.size() > 1) {
      taken = ShortWord(line, has_target).take(words);
    } else if (has_target) {
      taken = stray(word, line);
    } else {
      line.target = words.take();
      has_target = true;
    }
    if (!taken) return taken.error();
  }
  if (line.options.has("help")) return line;
  const auto& flags = line.python_flags;
  if (!has_target && std::find(flags.begin(), flags.end(), "-i") != flags.end()) {
    line.target = "-";
    has_target = true;
  }
  if (!has_target) {
    return usage("`pyhost run` needs a script: `pyhost run script.py`, `-m module` or `-c code`");
  }
  return line;
}

std::vector<std::string> run_command(const RunLine& line, const process::Python& python,
                                     process::Image image, const process::RuntimeFiles& files,
                                     const std::string& defaults) {
  std::vector<std::string> command;
  const auto add = [&](const std::vector<std::string>& words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  if (image == process::Image::libpython) {
    add({files.launcher, "run", python.libpython, files.core, files.packages, defaults,
         python.executable});
    add(line.python_flags);
    if (line.mode == RunMode::module) add({"-m"});
    if (line.mode == RunMode::command) add({"-c"});
    add({line.target});
  } else {
    add({python.executable});
    add(line.python_flags);
    constexpr const char* modes[] = {"file", "module", "command"};
    add({"-c", process::kBoot, files.core, "run", files.packages, defaults,
         modes[static_cast<int>(line.mode)], line.target});
  }
  add(line.arguments);
  return command;
}

int run_run(std::span<const std::string> words) {
  Messages messages;
  Result<RunLine> line = parse_run_line(words);
  if (!line) return usage_error(messages, line.error(), "run");
  if (line->options.has("help")) return print_topic("run");
  Result<std::string> defaults = pool_defaults_json(line->options);
  if (!defaults) return usage_error(messages, defaults.error(), "run");

  const Result<Interpreter> found = find_interpreter(line->options);
  if (!found) {
    messages.write(startup_block(found.error()));
    return kHostFailed;
  }
  if (line->mode == RunMode::file && !prompt_may_follow(line->python_flags) &&
      !script_can_be_opened(line->target, found->python, messages)) {
    return kUsage;
  }
  return replace_process(
      run_command(*line, found->python, found->image.image, found->files, *defaults), messages);
}

}  // namespace pyhost::cli
