// python_rows.h: what `doctor` says about interpreters.
#pragma once

#include <cli/doctor.h>
#include <process/python.h>

#include <string>
#include <vector>

namespace pyhost::cli {

// One interpreter: version, path, image, libpython, core.
std::vector<Row> python_rows(const process::Python& python);

// Starts a pool on this interpreter and image, calls a function, and says how long that took.
Row self_test(const process::Python& python, process::Image image);

}  // namespace pyhost::cli
