// The example at the end of layout.md, byte for byte.
#include <fstream>
#include <sstream>

#include "host/wire/pair.h"

namespace pyhost::wire::test {
namespace {

using Image = std::vector<std::byte>;

// The hex rows of the code block that follows `title`, over zeros.
Image image_after(const std::string& title, std::size_t bytes) {
  std::ifstream file(std::string(PYHOST_TEST_FILES) + "/../host/wire/layout.md");
  std::string line;
  while (std::getline(file, line) && line != title) {
  }
  while (std::getline(file, line) && line != "```") {
  }
  Image image(bytes);
  while (std::getline(file, line) && line != "```") {
    std::istringstream row(line.substr(0, 4 + 2 + 16 * 3));
    std::size_t offset = 0;
    unsigned value = 0;
    row >> std::hex >> offset;
    while (row >> value) image.at(offset++) = static_cast<std::byte>(value);
  }
  return image;
}

Image image_of(const base::Mapping& region) {
  return Image(region.data(), region.data() + region.size());
}

void expect_same(const Image& region, const Image& document) {
  ASSERT_EQ(region.size(), document.size());
  for (std::size_t i = 0; i < region.size(); ++i) {
    ASSERT_EQ(std::to_integer<int>(region[i]), std::to_integer<int>(document[i]))
        << "at offset 0x" << std::hex << i;
  }
}

TEST(LayoutDocument, ShowsTheBytesThatAreReallyThere) {
  Pair pair;
  std::string payload;
  for (const std::string item : {"[6,7]", "[8]"}) {
    const std::uint64_t length = item.size();
    payload.append(reinterpret_cast<const char*>(&length), sizeof length).append(item);
  }
  Call call;
  call.function = 7;
  call.codec = Codec::json;
  call.style = Style::args;
  call.end = 2;
  call.payload = bytes_of(payload);
  Posted posted = *pair.host.post(call).value_or_throw();
  ASSERT_TRUE(pair.worker.claim(*pair.worker.next(), 0));
  ASSERT_EQ(pair.host.shrink(posted, 1), 1u);
  Outgoing outgoing;
  outgoing.codec = Codec::json;
  outgoing.flags = kPrinted;
  outgoing.batch = posted.batch;
  outgoing.claimed_ns = 0x1122334455667788;
  const Bytes result = bytes_of("42");
  ASSERT_TRUE(pair.worker.reply(outgoing, {&result, 1}).value_or_throw());

  Image worker_region = image_of(pair.replies);
  const auto moment = worker_region.begin() + offsetof(WorkerHeader, claim_ns);
  std::fill(moment, moment + sizeof(std::uint64_t), std::byte{0});

  expect_same(image_of(pair.calls), image_after("Host's region:", pair.sizes.region_bytes));
  expect_same(worker_region, image_after("Worker's region:", pair.sizes.region_bytes));
}

}  // namespace
}  // namespace pyhost::wire::test
