// output.cc: writes that never wait.
#include <base/system.h>
#include <cli/exit_code.h>
#include <cli/output.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace pyhost::cli {

Output::Output(int fd) : fd_(fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return;
  pipe_ = S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode);
  regular_ = S_ISREG(info.st_mode);
}

Output::State Output::write_ready() {
  while (pending() > 0 && state_ == State::open) {
    // stdout is not switched to O_NONBLOCK: the terminal or pipe may be shared with other programs.
    // A writable pipe takes PIPE_BUF bytes without blocking, which is all that is promised.
    pollfd ready{fd_, POLLOUT, 0};
    if (!regular_ && ::poll(&ready, 1, 0) == 0) break;
    const std::size_t most = regular_ ? pending() : std::size_t{PIPE_BUF};
    const ssize_t count = ::write(fd_, buffer_.data() + written_, std::min(pending(), most));
    if (count >= 0) {
      written_ += static_cast<std::size_t>(count);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      state_ = State::closed;
    } else if (errno == EAGAIN) {
      break;  // somebody else made it non-blocking; poll(2) will say when
    } else if (errno != EINTR) {
      state_ = State::failed;
      error_ = errno;
    }
  }
  if (written_ == buffer_.size()) {
    buffer_.clear();
    written_ = 0;
  } else if (written_ > kPiece && written_ > pending()) {  // moving less often than half is linear
    buffer_.erase(0, written_);
    written_ = 0;
  }
  return state_;
}

std::string cannot_write(const Output& output) {
  return base::system_error(Code::startup, "cannot write to stdout", output.error_number()).message;
}

int write_out(std::string_view text, Messages& messages) {
  Output output(STDOUT_FILENO);
  output.buffer() = text;
  while (output.pending() > 0 && output.write_ready() == Output::State::open) {
    pollfd ready{output.fd(), POLLOUT, 0};
    if (output.pending() > 0) ::poll(&ready, 1, -1);
  }
  if (output.state() == Output::State::closed) return kReaderGone;
  if (output.state() == Output::State::open) return kSuccess;
  messages.say(cannot_write(output));
  return kHostFailed;
}

void Messages::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  base::write_all(STDERR_FILENO, text);
}

void Messages::say(std::string_view line) {
  write("pyhost: " + std::string(line) + "\n");
}

}  // namespace pyhost::cli
