// How much address space the regions of workers may take.
#include <pool/sizes.h>

#include <gtest/gtest.h>

namespace pyhost::pool {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(Sizes, AreThoseOfEveryPoolWithoutALimit) {
  EXPECT_EQ(sizes_within(std::nullopt, 100)->region_bytes, wire::Sizes().region_bytes);
}

TEST(Sizes, LeaveHalfOfALimitToTheProgram) {
  for (const std::size_t workers : {1, 2, 7, 64}) {
    const auto sizes = sizes_within(4096 * kMiB, workers);

    ASSERT_TRUE(sizes.ok());
    EXPECT_LE(sizes->region_bytes * workers, 2048 * kMiB);
    EXPECT_TRUE(wire::HostEnd::create(*sizes).ok());
  }
}

TEST(Sizes, AreNotLargerUnderALimitThanWithout) {
  EXPECT_EQ(sizes_within(std::uint64_t{1} << 50, 2)->region_bytes, wire::Sizes().region_bytes);
}

TEST(Sizes, ThatDoNotFitAreRefusedWithTheLimit) {
  const auto sizes = sizes_within(100 * kMiB, 64);

  ASSERT_FALSE(sizes.ok());
  EXPECT_EQ(sizes.error().message,
            "the limit of address space (`ulimit -v`) leaves 100 MiB, too little to share with 64 "
            "workers; raise it, or use fewer workers");
}

}  // namespace
}  // namespace pyhost::pool
