// What workers print, in whole lines or as it comes.
#include <pool/output.h>

#include <fcntl.h>

#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include <base/system.h>

namespace pyhost::pool {
namespace {

constexpr std::size_t kAlmostTooLong = 1'000'000;

TEST(OutputPipe, DoesNotCutALineBecauseThoseBeforeItAreLong) {
  auto pipe = base::pipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_GE(fcntl(pipe->writer.get(), F_SETPIPE_SZ, 1 << 20), 1 << 20);
  OutputPipe output(std::move(pipe->reader));
  const std::string line(kAlmostTooLong, 'a');
  std::string lines;

  ASSERT_TRUE(base::write_all(pipe->writer.get(), line));
  output.read(lines, false);
  EXPECT_EQ(lines, "");
  ASSERT_TRUE(base::write_all(pipe->writer.get(), "\n" + std::string(100'000, 'b')));
  output.read(lines, false);
  EXPECT_EQ(lines, line + "\n");

  ASSERT_TRUE(base::write_all(pipe->writer.get(), line));
  output.read(lines, false);
  EXPECT_EQ(lines, line + "\n" + std::string(100'000, 'b') + line + "\n");
}

struct Printing {
  base::UniqueFd writer;
  OutputPipe output;
};

Printing start_printing(Lines lines) {
  auto pipe = base::pipe().value_or_throw();
  return {std::move(pipe.writer), OutputPipe(std::move(pipe.reader), lines)};
}

std::string passed(Printing& printing, std::string_view printed) {
  EXPECT_TRUE(base::write_all(printing.writer.get(), printed));
  std::string text;
  printing.output.read(text, false);
  printing.output.pass_begun(text);
  return text;
}

TEST(OutputPipe, KeepsALineThatHasBegunWhereLinesAreWhole) {
  Printing printing = start_printing(Lines::whole);

  EXPECT_EQ(passed(printing, "one\ntw"), "one\n");
  EXPECT_EQ(printing.output.begun_until(), base::Moment::max());
  EXPECT_EQ(passed(printing, "o\n"), "two\n");
}

TEST(OutputPipe, PassesOnALineThatHasBegunWhereTextIsAsPrinted) {
  Printing printing = start_printing(Lines::as_printed);

  EXPECT_TRUE(base::write_all(printing.writer.get(), "one\n50 %\r"));
  std::string text;
  printing.output.read(text, false);
  EXPECT_EQ(text, "one\n");
  EXPECT_LT(printing.output.begun_until(), base::Moment::max());
  printing.output.pass_begun(text);
  EXPECT_EQ(text, "one\n50 %\r");
  EXPECT_EQ(printing.output.begun_until(), base::Moment::max());
}

TEST(OutputPipe, DoesNotCutMarkedLines) {
  Printing printing = start_printing(Lines::as_printed);

  EXPECT_EQ(passed(printing, "half \x1emark re"), "half ");
  EXPECT_EQ(printing.output.begun_until(), base::Moment::max());
  EXPECT_EQ(passed(printing, "cord\nrest"), "\x1emark record\nrest");
}

TEST(OutputPipe, AddsANewlineAtTheEndWhereLinesAreWhole) {
  for (const Lines lines : {Lines::whole, Lines::as_printed}) {
    Printing printing = start_printing(lines);
    const std::string end = lines == Lines::whole ? "end\n" : "end";

    EXPECT_TRUE(base::write_all(printing.writer.get(), "end"));
    printing.writer.reset();
    std::string text;
    EXPECT_FALSE(printing.output.read(text, false));
    EXPECT_EQ(text, end);
    EXPECT_EQ(printing.output.tail(), end);
  }
}

}  // namespace
}  // namespace pyhost::pool
