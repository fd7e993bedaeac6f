// target.cc: splits TARGET and decides whether it names a file or a module.
#include <cli/target.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>

namespace pyhost::cli {
namespace {

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Error no_target(std::string message) {
  return {Code::startup, std::move(message)};
}

}  // namespace

// Letters beyond ASCII are allowed in Python names; whether they form one is Python's to say.
bool is_dotted_name(std::string_view text) {
  bool start = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '.') {
      if (start) return false;
      start = true;
      continue;
    }
    const bool letter = std::isalpha(byte) != 0 || c == '_' || byte >= 0x80;
    if (!letter && (start || std::isdigit(byte) == 0)) return false;
    start = false;
  }
  return !start;
}

Result<Target> parse_target(std::string_view text) {
  const std::string shown = "target `" + std::string(text) + "` ";
  const std::size_t colon = text.rfind(':');
  // A colon inside a path (`a:b/c.py`) is not the one before a function.
  const bool split =
      colon != std::string_view::npos && text.find('/', colon) == std::string_view::npos;
  if (!split || (text.ends_with(".py") && is_file(std::string(text)))) {
    const std::string example = text.empty() ? "file.py" : std::string(text);
    return no_target(shown + "names no function; write `" + example + ":FUNCTION`");
  }
  const std::string place(text.substr(0, colon));
  const std::string function(text.substr(colon + 1));
  if (function.empty()) {
    return no_target(shown + "names no function; write `" + place + ":FUNCTION`");
  }
  if (place.empty()) {
    return no_target(shown + "names no file or module; write `file.py:" + function +
                     "` or `package.module:" + function + "`");
  }
  if (!is_dotted_name(function)) {
    return no_target(shown + "has `" + function +
                     "` where a function's name belongs; write `file.py:function`");
  }
  Target target;
  target.function = function;
  const bool path = place.ends_with(".py") || place.find('/') != std::string::npos;
  if (path || is_file(place)) {
    target.script = place;
  } else if (is_dotted_name(place)) {
    target.module = place;
  } else {
    return no_target(shown + "is neither a file nor a module; `" + place +
                     "` does not exist as a file and is no module name");
  }
  return target;
}

}  // namespace pyhost::cli
