// pool_settings.h: the options that describe a pool, the same for run, map and call.
#pragma once

#include <cli/command_line.h>
#include <cli/target.h>
#include <pyhost/options.h>
#include <pyhost/result.h>

#include <string>

namespace pyhost::cli {

// The pool that `map` and `call` start. Error: a value that makes no sense, start method `fork`.
Result<PoolOptions> pool_options(const OptionValues& options, const Target& target);

// The same for `run`, as the JSON that becomes the defaults of the package's pools; `fork` is
// possible there.
Result<std::string> pool_defaults_json(const OptionValues& options);

}  // namespace pyhost::cli
