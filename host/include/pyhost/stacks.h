// stacks.h: where workers are.
#pragma once

#include <sys/types.h>

#include <string>

namespace pyhost {

// Where one worker is.
struct WorkerStack {
  int worker = -1;
  pid_t pid = -1;
  std::string call;    // what it runs, with its arguments where they are text; empty: nothing
  double seconds = 0;  // for how long
  std::string stack;   // Python stacks of its threads, innermost call first; empty: no answer
};

}  // namespace pyhost
