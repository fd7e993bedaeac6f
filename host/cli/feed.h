// feed.h: from input files to the items of batches.
#pragma once

#include <cli/line_reader.h>
#include <pyhost/result.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

struct FeedOptions {
  char separator = '\n';
  bool raw = false;  // a line is a string, not JSON; then empty lines count too
  std::size_t longest_line = std::size_t{64} << 20;
};

// Lines on their way to one batch.
struct Portion {
  std::string payload;               // framed as host/wire/layout.md says
  std::vector<std::uint64_t> lines;  // where each item came from
  std::size_t source = 0;            // Feed::source_name
  std::optional<Error> failure;      // the only item cannot be sent, and why

  std::size_t count() const { return lines.size(); }
  void clear();
};

// Reads the inputs one after the other.
//
// Threads: one at a time.
// Blocks:  never on pipes and terminals.
class Feed {
 public:
  enum class Fed : std::uint8_t {
    full,  // the portion is as large as it should be
    dry,   // nothing to read now: the portion holds what there was; poll `fd()`
    end,   // the portion holds what was left
  };

  // `files`: paths, "-" for stdin; none: stdin. Error `startup`: the first that cannot be read.
  static Result<Feed> open(std::vector<std::string> files, FeedOptions options);

  // Adds lines until `portion` has `count` items or `bytes`. All items are from one source. Error
  // `startup`: reading failed.
  Result<Fed> next(std::size_t count, std::size_t bytes, Portion& portion);
  int fd() const { return reader_ ? reader_->fd() : -1; }
  std::string_view source_name(std::size_t source) const;

 private:
  Feed(std::vector<std::string> files, FeedOptions options);
  Result<void> open_next();
  Result<bool> read_more();
  void add_line(std::string_view line, Portion& portion);
  void fail_line(std::string message);

  std::vector<std::string> files_;
  FeedOptions options_;
  std::size_t source_ = 0;
  std::optional<LineReader> reader_;
  std::optional<Portion> failed_;  // the next portion, when a line cannot be sent
};

}  // namespace pyhost::cli
