// target.h: which function a command line means.
#pragma once

#include <pyhost/result.h>

#include <string>
#include <string_view>

namespace pyhost::cli {

struct Target {
  std::string script;  // a file; or
  std::string module;  // a dotted module name
  std::string function;
};

// `file.py:function` or `package.module:function`. The last colon separates, so a path may contain
// others. It is a file when it ends in `.py`, contains a slash or exists. Error: what is missing.
Result<Target> parse_target(std::string_view text);

// Whether `text` is one name of Python, or several joined by dots.
bool is_dotted_name(std::string_view text);

}  // namespace pyhost::cli
