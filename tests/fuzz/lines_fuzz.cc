// lines_fuzz.cc: what `pyhost map` makes of its input, compared with a reader that has it all at
// once.
#include <sys/mman.h>
#include <unistd.h>

#include <base/system.h>
#include <cli/feed.h>
#include <cli/line_reader.h>

#include <string>
#include <vector>

#include "input.h"

namespace {

using pyhost::base::UniqueFd;
using pyhost::cli::Feed;
using pyhost::cli::LineReader;
using Lines = std::vector<std::string>;

// What the lines of a text are, in the simplest words; overlong ones as their length.
Lines expected(std::string_view text, char separator, std::size_t limit) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Lines lines;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(separator), text.size());
    lines.push_back(length > limit ? "<" + std::to_string(length) + ">"
                                   : std::string(text.substr(0, length)));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return lines;
}

// The same by a LineReader whose input arrives in pieces.
Lines read_lines(pyhost::fuzz::Input sizes, std::string_view text, char separator,
                 std::size_t limit) {
  auto pipe = pyhost::base::pipe().value_or_throw();
  LineReader reader(std::move(pipe.reader), separator, limit);
  Lines lines;
  std::string_view line;
  for (;;) {
    switch (reader.next(line)) {
      case LineReader::Got::line:
        lines.emplace_back(line);
        break;
      case LineReader::Got::overlong:
        lines.push_back("<" + std::to_string(reader.line_bytes()) + ">");
        break;
      case LineReader::Got::end:
        PYHOST_MUST(reader.line_number() == lines.size());
        return lines;
      case LineReader::Got::dry: {
        const std::string_view piece = text.substr(0, std::size_t{1} + sizes.take<std::uint8_t>());
        text.remove_prefix(piece.size());
        PYHOST_MUST(pyhost::base::write_all(pipe.writer.get(), piece));
        if (piece.empty()) pipe.writer.reset();
        PYHOST_MUST(reader.fill().ok());
      }
    }
  }
}

void feed_file(std::string_view text, pyhost::cli::FeedOptions options) {
  const UniqueFd file(memfd_create("fuzz", MFD_CLOEXEC));
  PYHOST_MUST(pyhost::base::write_all(file.get(), text));
  Feed feed = Feed::open({"/proc/self/fd/" + std::to_string(file.get())}, options).value_or_throw();
  std::uint64_t last_line = 0;
  for (;;) {
    pyhost::cli::Portion portion;
    const Feed::Fed fed = feed.next(3, 100, portion).value_or_throw();
    std::string_view payload = portion.payload;
    for (const std::uint64_t line : portion.lines) {
      PYHOST_MUST(line > last_line);
      last_line = line;
      if (portion.failure) continue;
      std::uint64_t length = 0;
      PYHOST_MUST(payload.size() >= sizeof length);
      std::memcpy(&length, payload.data(), sizeof length);
      PYHOST_MUST(payload.size() - sizeof length >= length);
      payload.remove_prefix(sizeof length + length);
    }
    PYHOST_MUST(payload.empty());
    if (fed == Feed::Fed::end && portion.count() == 0) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pyhost::fuzz::Input input(data, size);
  const auto choices = input.take<std::uint8_t>();
  const char separator = (choices & 1) != 0 ? '\0' : '\n';
  const std::size_t limit = (choices & 2) != 0 ? 8 : 300;
  const std::string_view sizes = input.bytes(4);
  const std::string_view text = input.rest();
  const pyhost::fuzz::Input pieces(reinterpret_cast<const std::uint8_t*>(sizes.data()),
                                   sizes.size());
  PYHOST_MUST(read_lines(pieces, text, separator, limit) == expected(text, separator, limit));
  feed_file(text, {.separator = separator, .raw = (choices & 4) != 0, .longest_line = limit});
  return 0;
}
