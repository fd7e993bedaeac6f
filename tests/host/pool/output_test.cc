// What workers print, in whole lines.
#include <pool/output.h>

#include <fcntl.h>

#include <string>

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

}  // namespace
}  // namespace pyhost::pool
