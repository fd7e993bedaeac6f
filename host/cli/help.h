// help.h: what `pyhost --help` and `pyhost help TOPIC` print.
#pragma once

#include <cli/output.h>
#include <pyhost/error.h>

#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

std::string_view overview();                    // fits a screen: 24 lines of 80 columns
std::string_view topic(std::string_view name);  // empty: there is none of that name
std::vector<std::string> topic_names();

// Print to stdout; return the exit status. `print_topic` of an unknown name says what there is.
int print_overview();
int print_topic(const std::string& name);

// "pyhost: <error>", then where to read more. Returns kUsage.
int usage_error(Messages& messages, const Error& error, std::string_view topic_name);

}  // namespace pyhost::cli
