// machine_rows.h: what `doctor` says about the machine.
#pragma once

#include <cli/doctor.h>

#include <string>
#include <vector>

namespace pyhost::cli {

std::vector<Row> cpu_rows();
std::vector<Row> memory_rows();
std::vector<Row> kernel_rows();
std::vector<Row> limit_rows();

}  // namespace pyhost::cli
