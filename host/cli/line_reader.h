// line_reader.h: lines of a descriptor, without a copy and without blocking.
#pragma once

#include <base/fd.h>
#include <pyhost/result.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pyhost::cli {

// Cuts what it reads at a separator.
//
// Threads: one at a time.
// Blocks:  only `fill`, in read(2); poll `fd()` first.
class LineReader {
 public:
  enum class Got : std::uint8_t {
    line,      // `line` is set, valid until the next call of `fill`
    dry,       // no whole line buffered: `fill` and ask again
    overlong,  // a line longer than the limit was skipped; `line_bytes()` says how long it was
    end,
  };

  // A line of more than `limit` bytes is skipped, so that one broken file cannot take all memory.
  LineReader(base::UniqueFd fd, char separator, std::size_t limit);

  int fd() const { return fd_.get(); }
  // One read(2). Error `startup`: the system's reason.
  Result<void> fill();
  // The last line counts without its separator too. A byte order mark at the start is dropped.
  Got next(std::string_view& line);
  std::uint64_t line_number() const { return lines_; }  // of the last line given out, from 1
  std::uint64_t line_bytes() const { return line_bytes_; }

 private:
  void make_room();
  Got give(std::size_t length, std::size_t separators, std::string_view& line);

  base::UniqueFd fd_;
  char separator_;
  std::size_t limit_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;     // of what is not given out yet
  std::size_t searched_ = 0;  // no separator before here
  std::size_t end_ = 0;
  std::uint64_t skipped_ = 0;  // bytes of an overlong line dropped so far
  std::uint64_t lines_ = 0;
  std::uint64_t line_bytes_ = 0;
  bool at_start_ = true;
  bool finished_ = false;  // read(2) said end of file
};

}  // namespace pyhost::cli
