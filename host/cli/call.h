// call.h: `pyhost call TARGET [JSON...]`: one call, its result on stdout.
#pragma once

#include <pyhost/result.h>

#include <span>
#include <string>

namespace pyhost::cli {

// The JSON text `[args, kwargs]` of a call: each of `arguments` is one positional argument,
// `kwargs` an object or empty. Error `startup`: what is not JSON, and how to quote it. The texts
// are passed on as they are, so that no number loses digits.
Result<std::string> call_item(std::span<const std::string> arguments, const std::string& kwargs);

// Returns the exit status of the command.
int run_call(std::span<const std::string> words);

}  // namespace pyhost::cli
