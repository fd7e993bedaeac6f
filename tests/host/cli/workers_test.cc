// workers_test.cc: every form of `--workers`.
#include <cli/workers.h>

#include <gtest/gtest.h>

using pyhost::WorkerCount;
using pyhost::cli::parse_workers;

TEST(Workers, CountsFromTheCpus) {
  EXPECT_EQ(parse_workers("8", 4).value(), 8);
  EXPECT_EQ(parse_workers("auto", 4).value(), 4);
  EXPECT_EQ(parse_workers("50%", 4).value(), 2);
  EXPECT_EQ(parse_workers("150%", 4).value(), 6);
  EXPECT_EQ(parse_workers("+2", 4).value(), 6);
  EXPECT_EQ(parse_workers("-1", 4).value(), 3);
}

TEST(Workers, AreAtLeastOneHoweverFewCpusThereAre) {
  EXPECT_EQ(parse_workers("-8", 4).value(), 1);
  EXPECT_EQ(parse_workers("10%", 2).value(), 1);
  EXPECT_EQ(parse_workers("auto", 0).value(), 1);
}

TEST(Workers, NonsenseIsRefusedWithTheFormsThereAre) {
  for (const char* text : {"",
                           "0",
                           "0%",
                           "x",
                           "2x",
                           "+",
                           "-",
                           "--1",
                           "+-1",
                           "+50%",
                           "1.5",
                           "%",
                           "99999999999999999999",
                           "100000",
                           " 2",
                           ":",
                           "1:",
                           ":2",
                           "2:1",
                           "0:0",
                           "1:2:3"}) {
    const auto count = parse_workers(text, 4);
    ASSERT_FALSE(count.ok()) << "`" << text << "` gave " << count->max;
    EXPECT_NE(count.error().message.find("auto"), std::string::npos) << text;
    EXPECT_NE(count.error().message.find(text), std::string::npos);
  }
}

TEST(Workers, CanBeARangeOfAnyTwoForms) {
  EXPECT_EQ(parse_workers("1:8", 4).value(), WorkerCount(1, 8));
  EXPECT_EQ(parse_workers("0:auto", 4).value(), WorkerCount(0, 4));
  EXPECT_EQ(parse_workers("50%:+2", 4).value(), WorkerCount(2, 6));
  EXPECT_EQ(parse_workers("3:3", 4).value(), 3);
}
