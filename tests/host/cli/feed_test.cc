// feed_test.cc: from files to framed items.
#include <cli/feed.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using pyhost::cli::Feed;
using pyhost::cli::FeedOptions;
using pyhost::cli::Portion;

namespace {

using Items = std::vector<std::string>;

Items items_of(const Portion& portion) {
  Items items;
  for (std::size_t at = 0; at < portion.payload.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, portion.payload.data() + at, sizeof length);
    items.push_back(portion.payload.substr(at + sizeof length, length));
    at += sizeof length + length;
  }
  return items;
}

class FeedTest : public testing::Test {
 protected:
  FeedTest() {
    std::string path = (std::filesystem::temp_directory_path() / "feed-XXXXXX").string();
    if (::mkdtemp(path.data()) != nullptr) folder_ = path;
  }
  ~FeedTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::filesystem::path folder_;
};

constexpr std::size_t kMany = 1000;
constexpr std::size_t kBytes = 1 << 20;

}  // namespace

TEST_F(FeedTest, FramesEveryLineAndSkipsBlankOnes) {
  auto feed = Feed::open({file("a", "1\r\n\n  \t\n[2]\n3")}, {}).value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::end);

  EXPECT_EQ(items_of(portion), Items({"1\r", "[2]", "3"}));
  EXPECT_EQ(portion.lines, std::vector<std::uint64_t>({1, 4, 5}));
}

TEST_F(FeedTest, StopsAtTheCountOrTheBytes) {
  auto feed = Feed::open({file("a", "1\n2\n3\n\"long enough\"\n5\n")}, {}).value();
  Portion portion;

  EXPECT_EQ(feed.next(2, kBytes, portion).value(), Feed::Fed::full);
  EXPECT_EQ(items_of(portion), Items({"1", "2"}));

  portion.clear();
  EXPECT_EQ(feed.next(kMany, 20, portion).value(), Feed::Fed::full);
  EXPECT_EQ(items_of(portion), Items({"3", "\"long enough\""}));
}

TEST_F(FeedTest, GoesThroughTheFilesWithoutMixingThem) {
  const std::string first = file("a", "1\n2\n");
  const std::string second = file("b",
                                  "\xEF\xBB\xBF"
                                  "3");
  auto feed = Feed::open({first, second}, {}).value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::full);
  EXPECT_EQ(items_of(portion), Items({"1", "2"}));
  EXPECT_EQ(feed.source_name(portion.source), first);

  portion.clear();
  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::end);
  EXPECT_EQ(items_of(portion), Items({"3"}));
  EXPECT_EQ(feed.source_name(portion.source), second);
}

TEST_F(FeedTest, MakesStringsOfRawLinesEmptyOnesIncluded) {
  auto feed = Feed::open({file("a", "plain\n\nq\"\r\n")}, {.raw = true}).value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::end);

  EXPECT_EQ(items_of(portion), Items({"\"plain\"", "\"\"", "\"q\\\"\""}));
}

TEST_F(FeedTest, KeepsACarriageReturnBeforeANul) {
  auto feed =
      Feed::open({file("a", std::string("a\r\0b\n", 5))}, {.separator = '\0', .raw = true}).value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::end);

  EXPECT_EQ(items_of(portion), Items({"\"a\\r\"", "\"b\\n\""}));
}

TEST_F(FeedTest, ALineThatCannotBeSentIsAPortionOfItsOwn) {
  auto feed = Feed::open({file("a",
                               "ok\nb\xFF"
                               "d\nafter\n")},
                         {.raw = true})
                  .value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::full);
  EXPECT_EQ(items_of(portion), Items({"\"ok\""}));

  portion.clear();
  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::full);
  ASSERT_TRUE(portion.failure.has_value());
  EXPECT_EQ(portion.failure->code, pyhost::Code::marshal);
  EXPECT_NE(portion.failure->message.find("byte 1 is 0xff"), std::string::npos);
  EXPECT_EQ(portion.lines, std::vector<std::uint64_t>({2}));

  portion.clear();
  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::end);
  EXPECT_EQ(items_of(portion), Items({"\"after\""}));
}

TEST_F(FeedTest, AnOverlongLineFailsWithBothSizes) {
  FeedOptions options;
  options.longest_line = 10;
  auto feed = Feed::open({file("a", "12345678901\n2\n")}, options).value();
  Portion portion;

  EXPECT_EQ(feed.next(kMany, kBytes, portion).value(), Feed::Fed::full);
  ASSERT_TRUE(portion.failure.has_value());
  EXPECT_NE(portion.failure->message.find("11 bytes; the most is 10"), std::string::npos);
}

TEST_F(FeedTest, AMissingFileIsNamedBeforeAnythingIsRead) {
  const auto feed = Feed::open({file("a", "1\n"), (folder_ / "absent").string()}, {});

  ASSERT_FALSE(feed.ok());
  EXPECT_NE(feed.error().message.find("absent"), std::string::npos);
  EXPECT_FALSE(Feed::open({folder_.string()}, {}).ok());
}
