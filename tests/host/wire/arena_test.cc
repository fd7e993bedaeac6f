// Blocks: aligned, apart, used again, and backed by pages only while they are needed.
#include <wire/arena.h>

#include <sys/stat.h>

#include <map>
#include <random>

#include <gtest/gtest.h>

#include <base/memory.h>
#include <wire/layout.h>

namespace pyhost::wire {
namespace {

constexpr std::uint64_t kBegin = 8192;
constexpr std::uint64_t kEnd = std::uint64_t{256} << 20;

struct Memory {
  base::UniqueFd fd = base::create_memory("arena", kEnd).value_or_throw();
  Arena arena{fd.get(), kBegin, kEnd};

  std::uint64_t held() const {
    struct stat status {};
    fstat(fd.get(), &status);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
};

TEST(ArenaTest, GivesAlignedBlocksApartFromEachOther) {
  Memory memory;
  std::uint64_t last_end = kBegin;

  for (const std::uint64_t bytes : {0, 1, 63, 64, 65, 4096, 100'000}) {
    const std::uint64_t block = memory.arena.allocate(bytes).value_or_throw();
    EXPECT_EQ(block % kBlockAlign, 0u);
    EXPECT_GE(block, last_end) << "blocks overlap, or lack their spare bytes";
    last_end = block + bytes + kBlockAlign;
  }
}

TEST(ArenaTest, CommitsWhatItHandsOutAndLittleMore) {
  Memory memory;
  ASSERT_EQ(memory.held(), 0u);

  ASSERT_TRUE(memory.arena.allocate(3 << 20).ok());

  EXPECT_GE(memory.held(), std::uint64_t{3 << 20});
  EXPECT_LE(memory.held(), std::uint64_t{4 << 20});
  EXPECT_EQ(memory.arena.committed_bytes(), memory.held());
}

TEST(ArenaTest, UsesReleasedMemoryAgain) {
  Memory memory;
  const std::uint64_t first = memory.arena.allocate(1 << 20).value_or_throw();
  memory.arena.release(first);
  const std::uint64_t held = memory.held();

  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t block = memory.arena.allocate(1 << 20).value_or_throw();
    ASSERT_EQ(block, first);
    memory.arena.release(block);
  }

  EXPECT_EQ(memory.held(), held);
  EXPECT_EQ(memory.arena.used_bytes(), 0u);
}

TEST(ArenaTest, JoinsReleasedNeighbours) {
  Memory memory;
  std::vector<std::uint64_t> blocks;
  while (true) {
    const auto block = memory.arena.allocate(8 << 20);
    if (!block.ok()) break;
    blocks.push_back(*block);
  }
  ASSERT_GT(blocks.size(), 20u);

  for (std::size_t i = 0; i < blocks.size(); i += 2) memory.arena.release(blocks[i]);
  EXPECT_FALSE(memory.arena.allocate(200 << 20).ok());
  for (std::size_t i = 1; i < blocks.size(); i += 2) memory.arena.release(blocks[i]);

  EXPECT_TRUE(memory.arena.allocate(200 << 20).ok());
}

TEST(ArenaTest, RefusesWhatDoesNotFitAndChangesNothing) {
  Memory memory;
  for (const std::uint64_t bytes : {kEnd, kEnd - kBegin, ~std::uint64_t{0}, ~std::uint64_t{63}}) {
    const auto block = memory.arena.allocate(bytes);
    ASSERT_FALSE(block.ok()) << bytes;
    EXPECT_EQ(block.error().code, Code::backpressure);
  }

  EXPECT_EQ(memory.arena.used_bytes(), 0u);
  EXPECT_EQ(memory.held(), 0u);
  EXPECT_TRUE(memory.arena.allocate(kEnd - kBegin - 2 * kBlockAlign).ok());
}

TEST(ArenaTest, SaysSoWhenTheMachineHasNoPagesAndChangesNothing) {
  Arena arena(-1, kBegin, kEnd);  // stands for a machine without memory: every commit fails

  const auto block = arena.allocate(1000);

  ASSERT_FALSE(block.ok());
  EXPECT_EQ(block.error().code, Code::backpressure);
  EXPECT_TRUE(arena.has_room(1000));
  EXPECT_EQ(arena.used_bytes(), 0u);
  EXPECT_EQ(arena.committed_bytes(), 0u);
}

TEST(ArenaTest, TrimReturnsFreePagesOnly) {
  Memory memory;
  const std::uint64_t before = memory.arena.allocate(1 << 20).value_or_throw();
  const std::uint64_t between = memory.arena.allocate(1 << 20).value_or_throw();
  const std::uint64_t after = memory.arena.allocate(1 << 20).value_or_throw();
  auto view = base::Mapping::map(memory.fd.get(), kEnd, base::Access::read_write).value_or_throw();
  view.data()[between] = std::byte{42};
  memory.arena.release(before);
  memory.arena.release(after);

  memory.arena.trim(0);

  EXPECT_EQ(view.data()[between], std::byte{42});
  EXPECT_LE(memory.held(), std::uint64_t{(1 << 20) + 2 * 4096});
  memory.arena.release(between);
  memory.arena.trim(0);
  EXPECT_EQ(memory.held(), 0u);
  EXPECT_EQ(memory.arena.committed_bytes(), 0u);
}

TEST(ArenaTest, TrimKeepsAsMuchWarmAsItIsTold) {
  Memory memory;
  memory.arena.release(memory.arena.allocate(32 << 20).value_or_throw());

  memory.arena.trim(8 << 20);

  EXPECT_EQ(memory.held(), std::uint64_t{8 << 20});
  EXPECT_EQ(memory.arena.committed_bytes(), std::uint64_t{8 << 20});
  memory.arena.trim(0);
  EXPECT_EQ(memory.held(), 0u);
}

TEST(ArenaTest, AccountsForEveryByteOverARandomLife) {
  Memory memory;
  std::mt19937 random(20240607);
  std::map<std::uint64_t, std::uint64_t> blocks;

  for (int i = 0; i < 20'000; ++i) {
    if (random() % 2 == 0 || blocks.empty()) {
      const std::uint64_t bytes = random() % (random() % 50 == 0 ? 8'000'000 : 100'000);
      const auto block = memory.arena.allocate(bytes);
      if (!block.ok()) continue;
      const auto next = blocks.upper_bound(*block);
      ASSERT_TRUE(next == blocks.end() || *block + bytes + kBlockAlign <= next->first);
      ASSERT_TRUE(next == blocks.begin() || std::prev(next)->second <= *block);
      blocks.emplace(*block, *block + bytes + kBlockAlign);
    } else {
      const auto victim = std::next(blocks.begin(), static_cast<long>(random() % blocks.size()));
      memory.arena.release(victim->first);
      blocks.erase(victim);
    }
    if (random() % 200 == 0) memory.arena.trim(random() % 2 * (1 << 20));
    ASSERT_TRUE(i % 1000 != 0 || memory.arena.committed_bytes() == memory.held());
  }
  for (const auto& [block, end] : blocks) memory.arena.release(block);
  memory.arena.trim(0);

  EXPECT_EQ(memory.arena.used_bytes(), 0u);
  EXPECT_EQ(memory.held(), 0u);
}

}  // namespace
}  // namespace pyhost::wire
