// line_reader_test.cc: lines of pipes, however they arrive.
#include <cli/line_reader.h>

#include <base/system.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

using pyhost::base::Pipe;
using pyhost::cli::LineReader;

namespace {

constexpr std::size_t kLimit = 1000;

// A reader and the end that writes to it.
struct Fed {
  explicit Fed(char separator = '\n', std::size_t limit = kLimit)
      : pipe(pyhost::base::pipe().value()), reader(std::move(pipe.reader), separator, limit) {}

  void write(std::string_view text) {
    ASSERT_TRUE(pyhost::base::write_all(pipe.writer.get(), text));
    ASSERT_TRUE(reader.fill().ok());
  }
  void close() {
    pipe.writer.reset();
    ASSERT_TRUE(reader.fill().ok());
  }
  // All lines there are now.
  std::vector<std::string> lines() {
    std::vector<std::string> result;
    std::string_view line;
    for (;;) {
      last = reader.next(line);
      if (last == LineReader::Got::dry || last == LineReader::Got::end) return result;
      result.push_back(last == LineReader::Got::line
                           ? std::string(line)
                           : "<" + std::to_string(reader.line_bytes()) + " bytes>");
    }
  }

  Pipe pipe;
  LineReader reader;
  LineReader::Got last = LineReader::Got::dry;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST(LineReader, GivesWholeLinesOnly) {
  Fed input;

  input.write("one\ntw");
  EXPECT_EQ(input.lines(), Lines({"one"}));
  EXPECT_EQ(input.last, LineReader::Got::dry);

  input.write("o\n\nthree\n");
  EXPECT_EQ(input.lines(), Lines({"two", "", "three"}));
  EXPECT_EQ(input.reader.line_number(), 4U);
}

TEST(LineReader, CountsALastLineWithoutItsEnd) {
  Fed input;

  input.write("one\ntwo");
  input.close();

  EXPECT_EQ(input.lines(), Lines({"one", "two"}));
  EXPECT_EQ(input.last, LineReader::Got::end);
}

TEST(LineReader, OfNothingEndsAtOnce) {
  Fed input;

  input.close();

  EXPECT_EQ(input.lines(), Lines());
  EXPECT_EQ(input.last, LineReader::Got::end);
}

TEST(LineReader, DropsAByteOrderMarkAtTheStartAlsoWhenItComesInPieces) {
  Fed input;

  input.write("\xEF\xBB");
  EXPECT_EQ(input.lines(), Lines());
  input.write("\xBFone\n\xEF\xBB\xBFtwo\n");

  EXPECT_EQ(input.lines(), Lines({"one", "\xEF\xBB\xBFtwo"}));
}

TEST(LineReader, KeepsTheStartOfAByteOrderMarkThatIsNone) {
  Fed input;

  input.write("\xEF\xBB");
  input.close();

  EXPECT_EQ(input.lines(), Lines({"\xEF\xBB"}));
}

TEST(LineReader, CutsAtNulWhenAskedTo) {
  Fed input('\0');

  input.write(std::string("a\nb\0c\0", 6));

  EXPECT_EQ(input.lines(), Lines({"a\nb", "c"}));
}

TEST(LineReader, SkipsALineOverTheLimitAndGoesOn) {
  Fed input;

  input.write(std::string(kLimit, 'x') + "\n" + std::string(kLimit + 1, 'y') + "\nafter\n");

  EXPECT_EQ(input.lines(), Lines({std::string(kLimit, 'x'), "<1001 bytes>", "after"}));
}

TEST(LineReader, HoldsOnlyALimitedPartOfAnEndlessLine) {
  Fed input;
  const std::string piece(800, 'z');
  for (int i = 0; i < 10; ++i) {
    input.write(piece);
    EXPECT_EQ(input.lines(), Lines());
  }

  input.write("\nafter\n");

  EXPECT_EQ(input.lines(), Lines({"<8000 bytes>", "after"}));
}

TEST(LineReader, GivesLinesLongerThanItsBuffer) {
  Fed input('\n', std::size_t{8} << 20);
  const std::string longest(std::size_t{3} << 20, 'l');
  std::thread writer([&] {
    pyhost::base::write_all(input.pipe.writer.get(), longest + "\nafter\n");
    input.pipe.writer.reset();
  });

  Lines all;
  while (input.last != LineReader::Got::end) {
    if (!input.reader.fill().ok()) break;
    for (std::string& line : input.lines()) all.push_back(std::move(line));
  }
  writer.join();

  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(all[0] == longest);
  EXPECT_EQ(all[1], "after");
}
