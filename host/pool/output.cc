#include <pool/output.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace pyhost::pool {
namespace {

// Halved: a traceback of ordinary depth no longer fits. Doubled: only memory per worker.
constexpr std::size_t kTailBytes = 8 * 1024;
// A line longer than this is cut; unbounded, a worker that prints no newline would fill the host.
// Longer than any log record: a cut one would be lost.
constexpr std::size_t kLongestLine = 1024 * 1024;
// Reads per call: a worker that prints without end must not keep the supervisor here.
constexpr int kReadsAtOnce = 64;

// How long a line that has begun waits for its end. Longer, a progress bar moves in jerks; without,
// a line longer than a pipe takes at once is cut by those of other workers.
constexpr base::Duration kLinePatience = std::chrono::milliseconds(20);

// What marked lines begin with.
constexpr char kMarks = '\x1e';

}  // namespace

OutputPipe::OutputPipe(base::UniqueFd reader, Lines lines)
    : reader_(std::move(reader)), lines_(lines) {
  fcntl(reader_.get(), F_SETFL, fcntl(reader_.get(), F_GETFL) | O_NONBLOCK);
}

bool OutputPipe::read(std::string& text, bool last) {
  if (!reader_) return false;
  std::array<char, 16 * 1024> chunk;
  bool open = true;
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t got = ::read(reader_.get(), chunk.data(), chunk.size());
    if (got > 0) {
      if (partial_.empty()) begun_at_ = base::now();
      partial_.append(chunk.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    open = got < 0 && errno == EAGAIN;
    break;
  }
  const std::size_t complete = partial_.rfind('\n') + 1;  // npos + 1 is 0
  if (last || !open || partial_.size() - complete > kLongestLine) {
    const bool cut = complete < partial_.size();
    if (cut && lines_ == Lines::whole) partial_.push_back('\n');
    hand_on(text, partial_.size());
  } else if (complete > 0) {
    hand_on(text, complete);
    begun_at_ = base::now();
  }
  if (!open) reader_.reset();
  return open;
}

void OutputPipe::pass_begun(std::string& text) {
  hand_on(text, passable());
}

base::Moment OutputPipe::begun_until() const {
  return passable() > 0 ? begun_at_ + kLinePatience : base::Moment::max();
}

// How much of `partial_` can be handed on before its newline is there.
std::size_t OutputPipe::passable() const {
  if (lines_ == Lines::whole) return 0;
  return std::min(partial_.find(kMarks), partial_.size());
}

void OutputPipe::hand_on(std::string& text, std::size_t bytes) {
  text.append(partial_, 0, bytes);
  tail_.append(partial_, 0, bytes);
  partial_.erase(0, bytes);
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

}  // namespace pyhost::pool
