// cgroup.h: the CPU quota of the control group this process is in.
#pragma once

#include <optional>
#include <string_view>

namespace pyhost::base {

// How many CPUs' worth of time the group and every group above it allow, rounded up, at least 1;
// nullopt when nothing caps it. The arguments are the texts of /proc/self/mountinfo and
// /proc/self/cgroup; version 1 and 2 hierarchies are both looked at.
std::optional<int> cgroup_cpus(std::string_view mountinfo, std::string_view cgroup);

}  // namespace pyhost::base
