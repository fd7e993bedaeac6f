// output.h: what goes to stdout and stderr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace pyhost::cli {

// Text on its way to stdout, written in large pieces and without blocking the thread that also
// answers signals.
//
// Threads: one at a time.
class Output {
 public:
  enum class State : std::uint8_t { open, closed, failed };

  explicit Output(int fd);

  std::string& buffer() { return buffer_; }  // append here
  std::size_t pending() const { return buffer_.size() - written_; }
  bool wants_write() const { return pending() >= kPiece; }
  int fd() const { return fd_; }
  bool is_pipe() const { return pipe_; }

  // Writes what the descriptor takes now. A pipe or terminal that is full leaves the rest pending.
  State write_ready();
  // The reader is gone although nothing was written: for poll(2) saying POLLERR.
  State state() const { return state_; }
  void mark_closed() { state_ = State::closed; }
  int error_number() const { return error_; }

 private:
  static constexpr std::size_t kPiece = std::size_t{64} * 1024;

  int fd_;
  bool pipe_ = false;
  bool regular_ = false;
  std::string buffer_;
  std::size_t written_ = 0;
  State state_ = State::open;
  int error_ = 0;
};

// Whole blocks to stderr: what users printed, failures, notices; never mixed within a block.
//
// Threads: any.
class Messages {
 public:
  void write(std::string_view text);
  // One line of the command's own: "pyhost: ...".
  void say(std::string_view line);

 private:
  std::mutex mutex_;
};

// Why `output` failed, for a message. Requires: state `failed`.
std::string cannot_write(const Output& output);

// Writes all of `text` to stdout, waiting where it must. Returns the exit status: kReaderGone
// (without a word) when nobody reads it, kHostFailed with a message when it cannot be written.
int write_out(std::string_view text, Messages& messages);

}  // namespace pyhost::cli
