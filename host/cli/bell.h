// bell.h: one descriptor that wakes the command's main thread.
#pragma once

#include <base/fd.h>

namespace pyhost::cli {

// Rung by sinks (any thread) and by signal handlers; the main thread polls `fd()`.
//
// Threads: any; `ring` is safe in a signal handler.
class Bell {
 public:
  Bell();  // without a descriptor (EMFILE) `ok` is false
  bool ok() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  void ring() const;
  void silence() const;

 private:
  base::UniqueFd fd_;
};

}  // namespace pyhost::cli
