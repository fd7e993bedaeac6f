// setup.h: from what a user asks for to an engine.
#pragma once

#include <memory>
#include <string>

#include <pyhost/options.h>
#include <pyhost/result.h>

#include <pool/engine.h>

namespace pyhost::pool {

// Finds the interpreter, the image and the runtime files, and fills in an engine's options.
// `functions` are checked when the script is loaded. Error `startup`: lists all that was tried.
Result<Options> prepare(const PoolOptions& wanted, std::vector<std::string> functions = {});

}  // namespace pyhost::pool
