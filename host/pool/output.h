// output.h: what workers print, in whole lines or as it comes.
#pragma once

#include <string>

#include <base/clock.h>
#include <base/fork_guard.h>
#include <pool/engine.h>

namespace pyhost::pool {

// The reading end of one worker's stdout or stderr. The last lines are remembered.
//
// Threads: one at a time.
class OutputPipe {
 public:
  OutputPipe() = default;
  // `reader` is made non-blocking.
  explicit OutputPipe(base::UniqueFd reader, Lines lines = Lines::whole);

  int fd() const { return reader_.get(); }

  // Appends what can be read now to `text`, up to the last newline; with `last`, the rest as well.
  // Returns false at the end of the stream.
  bool read(std::string& text, bool last);

  // Appends the line that has begun, if lines need not be whole. Not from the first \x1e on, with
  // which lines begin that are no text (runtime/driver/records.h): those are handed on in whole.
  void pass_begun(std::string& text);
  // When `pass_begun` is due; the end of time if it has nothing to do.
  base::Moment begun_until() const;

  const std::string& tail() const { return tail_; }  // the last few KiB

 private:
  std::size_t passable() const;
  void hand_on(std::string& text, std::size_t bytes);

  base::HostFd reader_;
  Lines lines_ = Lines::whole;
  std::string partial_;
  base::Moment begun_at_{};  // when the first byte of `partial_` was read
  std::string tail_;
};

}  // namespace pyhost::pool
