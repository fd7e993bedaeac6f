// quantities_test.cc: durations, sizes and counts, read and shown.
#include <cli/quantities.h>

#include <gtest/gtest.h>

#include <string>

using namespace std::chrono_literals;
using namespace pyhost::cli;

TEST(Duration, IsSecondsOrHasAUnit) {
  EXPECT_EQ(parse_duration("timeout", "2").value(), 2s);
  EXPECT_EQ(parse_duration("timeout", "0.5").value(), 500ms);
  EXPECT_EQ(parse_duration("timeout", "250ms").value(), 250ms);
  EXPECT_EQ(parse_duration("timeout", "2s").value(), 2s);
  EXPECT_EQ(parse_duration("timeout", "1.5m").value(), 90s);
  EXPECT_EQ(parse_duration("timeout", "1h").value(), 1h);
}

TEST(Duration, ThatMakesNoSenseIsRefusedWithTheOptionItWasGivenTo) {
  for (const char* text : {"", "0", "-1", "x", "2 s", "nan", "inf", "1e300", "2sec", "0x10"}) {
    const auto duration = parse_duration("timeout", text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_NE(duration.error().message.find("--timeout"), std::string::npos);
  }
}

TEST(Duration, OfNothingIsPossibleWhereItMakesSense) {
  EXPECT_EQ(parse_duration_or_zero("grace", "0").value(), 0s);
  EXPECT_EQ(parse_duration_or_zero("grace", "1s").value(), 1s);
  EXPECT_FALSE(parse_duration_or_zero("grace", "-1").ok());
}

TEST(Size, IsBytesOrHasAUnitOfPowersOf1024) {
  EXPECT_EQ(parse_size("memory", "1000").value(), 1000U);
  EXPECT_EQ(parse_size("memory", "64k").value(), 64U << 10);
  EXPECT_EQ(parse_size("memory", "512M").value(), 512U << 20);
  EXPECT_EQ(parse_size("memory", "512mb").value(), 512U << 20);
  EXPECT_EQ(parse_size("memory", "1.5G").value(), 3ULL << 29);
  EXPECT_EQ(parse_size("memory", "2GiB").value(), 2ULL << 30);
  EXPECT_EQ(parse_size("memory", "1T").value(), 1ULL << 40);
  EXPECT_EQ(parse_size("memory", "20b").value(), 20U);
}

TEST(Size, ThatMakesNoSenseIsRefusedWithTheOptionAndTheForms) {
  for (const char* text : {"", "0", "-1", "x", "2 G", "nan", "inf", "1e300", "M", "2GB2", "2iB",
                           "5000000T", "2P", "1MM"}) {
    const auto size = parse_size("memory", text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_NE(size.error().message.find("`--memory " + std::string(text) + "` "),
              std::string::npos);
    EXPECT_NE(size.error().message.find("512M"), std::string::npos);
  }
}

TEST(Count, IsAWholeNumberWithinItsRange) {
  EXPECT_EQ(parse_count("retries", "0", 0, 10).value(), 0U);
  EXPECT_EQ(parse_count("retries", "10", 0, 10).value(), 10U);
  EXPECT_EQ(parse_count("retries", "11", 0, 10).error().message,
            "`--retries 11` is out of range; write one from 0 to 10");
  EXPECT_EQ(parse_count("retries", "99999999999999999999", 0, 10).error().message,
            "`--retries 99999999999999999999` is out of range; write one from 0 to 10");
  for (const char* text : {"", "-1", "1.5", "2x", " 2", "two", "+2"}) {
    const auto count = parse_count("retries", text, 0, 10);
    ASSERT_FALSE(count.ok()) << text;
    EXPECT_NE(count.error().message.find("is no whole number"), std::string::npos);
  }
}
