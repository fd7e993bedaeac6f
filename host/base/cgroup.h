// cgroup.h: what the control group this process is in leaves it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pyhost::base {

// How many CPUs' worth of time the group and every group above it allow, rounded up, at least 1;
// nullopt when nothing caps it. The arguments are the texts of /proc/self/mountinfo and
// /proc/self/cgroup; version 1 and 2 hierarchies are both looked at.
std::optional<int> cgroup_cpus(std::string_view mountinfo, std::string_view cgroup);

// The least number of bytes the group and every group above it may hold; nullopt when nothing caps
// it. Arguments as above.
std::optional<std::uint64_t> cgroup_memory(std::string_view mountinfo, std::string_view cgroup);

}  // namespace pyhost::base
