#include <pool/output.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace pyhost::pool {
namespace {

// Halved: a traceback of ordinary depth no longer fits. Doubled: only memory per worker.
constexpr std::size_t kTailBytes = 8 * 1024;
// A line longer than this is cut; unbounded, a worker that prints no newline would fill the host.
// Longer than any log record: a cut one would be lost.
constexpr std::size_t kLongestLine = 1024 * 1024;
// Reads per call: a worker that prints without end must not keep the supervisor here.
constexpr int kReadsAtOnce = 64;

}  // namespace

OutputPipe::OutputPipe(base::UniqueFd reader) : reader_(std::move(reader)) {
  fcntl(reader_.get(), F_SETFL, fcntl(reader_.get(), F_GETFL) | O_NONBLOCK);
}

bool OutputPipe::read(std::string& lines, bool last) {
  if (!reader_) return false;
  std::array<char, 16 * 1024> chunk;
  bool open = true;
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t got = ::read(reader_.get(), chunk.data(), chunk.size());
    if (got > 0) {
      partial_.append(chunk.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    open = got < 0 && errno == EAGAIN;
    break;
  }
  const std::size_t complete = partial_.rfind('\n') + 1;  // npos + 1 is 0
  hand_on(lines, last || !open || partial_.size() - complete > kLongestLine);
  if (!open) reader_.reset();
  return open;
}

void OutputPipe::hand_on(std::string& lines, bool all) {
  const std::size_t end = all ? partial_.size() : partial_.rfind('\n') + 1;  // npos + 1 is 0
  if (end == 0) return;
  const std::size_t start = lines.size();
  lines.append(partial_, 0, end);
  partial_.erase(0, end);
  if (lines.back() != '\n') lines.push_back('\n');
  tail_.append(lines, start);
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

}  // namespace pyhost::pool
