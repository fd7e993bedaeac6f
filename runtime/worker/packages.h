// packages.h: how `import pyhost` finds the package in interpreters that pyhost brought up.
#pragma once

#include <Python.h>

#include <string>

namespace pyhost::worker {

// Appends a finder for the package `pyhost` in the folder `packages` to sys.meta_path, once. Last,
// so that an installed or local `pyhost` wins, and sys.path stays as Python made it. An empty
// folder is fine and does nothing. False with an exception set. Needs the GIL.
bool install_package_finder(const std::string& packages);

}  // namespace pyhost::worker
