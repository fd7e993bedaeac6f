// line_reader.cc: one buffer, searched once.
#include <base/system.h>
#include <cli/line_reader.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pyhost::cli {
namespace {

// Half: twice the system calls for large files. Double: no gain measured, a pipe holds 64 KiB.
constexpr std::size_t kReadBytes = std::size_t{256} * 1024;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

LineReader::LineReader(base::UniqueFd fd, char separator, std::size_t limit)
    : fd_(std::move(fd)), separator_(separator), limit_(limit), buffer_(kReadBytes) {}

void LineReader::make_room() {
  if (begin_ == end_) {
    begin_ = searched_ = end_ = 0;
    // One huge line must not keep its memory for the rest of the input.
    if (buffer_.size() > 4 * kReadBytes) std::vector<char>(kReadBytes).swap(buffer_);
    return;
  }
  if (buffer_.size() - end_ >= kReadBytes / 4) return;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  searched_ -= begin_;
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() - end_ < kReadBytes / 4) buffer_.resize(buffer_.size() * 2);
}

Result<void> LineReader::fill() {
  make_room();
  ssize_t count = 0;
  do {
    count = ::read(fd_.get(), buffer_.data() + end_, buffer_.size() - end_);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return base::system_error(Code::startup, "read", errno);
  if (count == 0) finished_ = true;
  end_ += static_cast<std::size_t>(count);
  return {};
}

LineReader::Got LineReader::give(std::size_t length, std::size_t separators,
                                 std::string_view& line) {
  line = std::string_view(buffer_.data() + begin_, length);
  begin_ += length + separators;
  searched_ = begin_;
  ++lines_;
  line_bytes_ = skipped_ + length;
  if (skipped_ > 0 || length > limit_) {
    skipped_ = 0;
    return Got::overlong;
  }
  return Got::line;
}

LineReader::Got LineReader::next(std::string_view& line) {
  if (at_start_) {
    const std::string_view head(buffer_.data(), std::min(end_, kByteOrderMark.size()));
    if (head.size() < kByteOrderMark.size() && kByteOrderMark.starts_with(head) && !finished_) {
      return Got::dry;
    }
    if (head == kByteOrderMark) begin_ = searched_ = kByteOrderMark.size();
    at_start_ = false;
  }
  const void* found = end_ == searched_
                          ? nullptr
                          : std::memchr(buffer_.data() + searched_, separator_, end_ - searched_);
  if (found != nullptr) {
    const auto position =
        static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    return give(position - begin_, 1, line);
  }
  searched_ = end_;
  if (finished_) {
    if (begin_ == end_ && skipped_ == 0) return Got::end;
    return give(end_ - begin_, 0, line);
  }
  if (end_ - begin_ > limit_ || skipped_ > 0) {
    skipped_ += end_ - begin_;
    begin_ = searched_ = end_ = 0;
  }
  return Got::dry;
}

}  // namespace pyhost::cli
