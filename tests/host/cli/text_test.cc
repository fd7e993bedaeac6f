// text_test.cc: JSON strings both ways.
#include <cli/text.h>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

using pyhost::cli::append_bare;
using pyhost::cli::append_json_string;

namespace {

std::string bare(std::string_view json) {
  std::string out;
  append_bare(json, out);
  return out;
}

}  // namespace

TEST(JsonString, OfAnyUtf8TextReadsBackAsTheText) {
  for (const std::string& text :
       {std::string(), std::string("plain"), std::string("q\"b\\s/"), std::string("a\0b\x1f", 4),
        std::string("\n\r\t\b\f"), std::string("z\xC3\xA4\xE2\x82\xAC\xF0\x9F\x90\x8D\x7F")}) {
    std::string json;

    ASSERT_FALSE(append_json_string(text, json).has_value());

    EXPECT_EQ(nlohmann::json::parse(json).get<std::string>(), text);
    EXPECT_EQ(json.find('\n'), std::string::npos);
  }
}

TEST(JsonString, OfOtherBytesNamesTheFirstBadOneAndAddsNothing) {
  const std::pair<std::string, std::size_t> broken[] = {
      {"\xFF", 0},         {"ab\x80", 2},       {"\xC0\xAF", 0},
      {"\xE0\x80\x80", 0}, {"\xED\xA0\x80", 0}, {"a\xF4\x90\x80\x80", 1},
      {"\xC3", 0},         {"a\n\xE2\x82", 2}};
  for (const auto& [text, position] : broken) {
    std::string json = "before";

    const auto bad = append_json_string(text, json);

    ASSERT_TRUE(bad.has_value());
    EXPECT_EQ(*bad, position);
    EXPECT_EQ(json, "before");
  }
}

TEST(BareText, IsTheStringWithoutQuotesAndEscapes) {
  EXPECT_EQ(bare(R"("plain")"), "plain");
  EXPECT_EQ(bare(R"("a\"b\\c\/d\n\t\b")"), "a\"b\\c/d\n\t\b");
  EXPECT_EQ(bare(R"("\u00e4\u20AC\ud83d\udc0d")"), "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x90\x8D");
  EXPECT_EQ(bare(R"("")"), "");
}

TEST(BareText, OfALoneSurrogateOrACutEscapeIsAReplacementNotACrash) {
  EXPECT_EQ(bare(R"("\ud83dx")"), "\xEF\xBF\xBDx");
  EXPECT_EQ(bare(R"("\ud83d\ud83d")"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(bare(R"("\u12")"), "\xEF\xBF\xBD");
  EXPECT_EQ(bare("\"\\\""), "");
}

TEST(BareText, OfAnythingButAStringIsTheJson) {
  EXPECT_EQ(bare("[\"a\"]"), "[\"a\"]");
  EXPECT_EQ(bare("12"), "12");
  EXPECT_EQ(bare("\""), "\"");
}
