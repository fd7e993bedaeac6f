// output.h: what workers print, in whole lines.
#pragma once

#include <string>

#include <base/fork_guard.h>

namespace pyhost::pool {

// The reading end of one worker's stdout or stderr. Bytes are handed on in whole lines, so that
// workers that print at the same time do not cut into each other; the last lines are remembered.
//
// Threads: one at a time.
class OutputPipe {
 public:
  OutputPipe() = default;
  // `reader` is made non-blocking.
  explicit OutputPipe(base::UniqueFd reader);

  int fd() const { return reader_.get(); }

  // Appends what can be read now to `lines`, up to the last newline. With `last`, the rest as well,
  // closed with a newline. Returns false at the end of the stream.
  bool read(std::string& lines, bool last);

  const std::string& tail() const { return tail_; }  // the last few KiB

 private:
  void hand_on(std::string& lines, bool all);

  base::HostFd reader_;
  std::string partial_;
  std::string tail_;
};

}  // namespace pyhost::pool
