// memory_cap.h: how much private memory the interpreter may use before Python raises MemoryError.
//
// The kernel counts private writable memory only (RLIMIT_DATA), so arguments and results in shared
// memory are free. The host watches the worker's real use, too, and kills above the cap.
#pragma once

#include <cstdint>

namespace pyhost::worker {

// Lets this process, and each one it starts, use `bytes` more than this one has now; 0: no cap.
// `stacks`: threads that will be started, whose stacks are not the task's doing.
void cap_memory(std::uint64_t bytes, std::uint32_t stacks);

// Whether there is a cap.
bool memory_capped();

// For its life, a little more memory: to describe the failure of a call whose frames still hold
// all there is.
class Headroom {
 public:
  Headroom();
  Headroom(const Headroom&) = delete;
  Headroom& operator=(const Headroom&) = delete;
  ~Headroom();
};

}  // namespace pyhost::worker
