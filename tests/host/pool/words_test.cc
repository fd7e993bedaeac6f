// Quantities in messages read as people write them.
#include <pool/words.h>

#include <gtest/gtest.h>

namespace pyhost::pool {
namespace {

TEST(Words, ElapsedTimesHaveTheUnitsPeopleUse) {
  EXPECT_EQ(elapsed_text(0.0001), "less than 1 ms");
  EXPECT_EQ(elapsed_text(0.2), "200 ms");
  EXPECT_EQ(elapsed_text(0.0219), "21 ms");
  EXPECT_EQ(elapsed_text(4.26), "4.2 s");
  EXPECT_EQ(elapsed_text(42), "42 s");
  EXPECT_EQ(elapsed_text(185), "3 min 5 s");
  EXPECT_EQ(elapsed_text(7380), "2 h 3 min");
  EXPECT_EQ(elapsed_text(-1), "0 s");
}

TEST(Words, LimitsAreShownAsTheyWereGiven) {
  EXPECT_EQ(seconds_text(std::chrono::milliseconds(250)), "0.25 s");
  EXPECT_EQ(seconds_text(std::chrono::seconds(2)), "2 s");
}

TEST(Words, SizesHaveTheUnitThatKeepsThemShort) {
  EXPECT_EQ(bytes_text(512), "0.5 KiB");
  EXPECT_EQ(bytes_text(536'661'196), "511.8 MiB");
  EXPECT_EQ(bytes_text(1'610'612'736), "1.5 GiB");
}

TEST(Words, ALongTextIsCutBetweenCharacters) {
  EXPECT_EQ(cut_text("short", 5), "short");
  EXPECT_EQ(cut_text("longer", 5), "lo...");
  EXPECT_EQ(cut_text("\u00e4\u00e4\u00e4", 5), "\u00e4...");
}

}  // namespace
}  // namespace pyhost::pool
