// causes.h: what a worker's end most likely came from, in words.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace pyhost::pool {

// `status` of waitpid of the process `worker`, `forensics` what the worker left behind
// (runtime/worker/forensics.h: not believed, only quoted), `starved`: the kernel killed for want of
// memory meanwhile.
std::string likely_cause(int status, pid_t worker, std::string_view forensics, bool starved);

// The Python stacks in it, without the lines that start with `pyhost: `.
std::string stack_in(std::string_view forensics);

}  // namespace pyhost::pool
