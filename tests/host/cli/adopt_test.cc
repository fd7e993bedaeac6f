// adopt_test.cc: whose pools are re-routed, as the user names them.
#include <cli/adopt.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

using pyhost::cli::parse_adopt;

namespace {

using Strings = std::vector<std::string>;

std::string refusal(const Strings& lists) {
  const auto names = parse_adopt(lists);
  return names.ok() ? "" : names.error().message;
}

}  // namespace

TEST(Adopt, NamesAreListedOnceHoweverTheyAreGiven) {
  EXPECT_EQ(parse_adopt({"joblib,futures", "futures"}).value(), Strings({"futures", "joblib"}));
  EXPECT_EQ(parse_adopt({"all"}).value(), Strings({"futures", "multiprocessing", "joblib"}));
  EXPECT_EQ(parse_adopt({"all", "joblib"}).value().size(), 3U);
  EXPECT_EQ(parse_adopt({"none"}).value(), Strings());
}

TEST(Adopt, AWrongNameIsRefusedWithTheClosestOne) {
  EXPECT_EQ(refusal({"future"}),
            "`--adopt future` is not one of all, none, or some of futures, multiprocessing, "
            "joblib; did you mean `futures`?");
  EXPECT_NE(refusal({"threads"}).find("`--adopt threads` is not one of all"), std::string::npos);
  EXPECT_NE(refusal({","}).find("names nothing"), std::string::npos);
  EXPECT_NE(refusal({"none,joblib"}).find("says none and more"), std::string::npos);
}
