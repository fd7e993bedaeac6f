// Shared memory: sparse, sealed, read-only where it is handed out so.
#include <base/memory.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace pyhost::base {
namespace {

constexpr std::size_t kBytes = std::size_t{16} << 20;

std::uint64_t held(const UniqueFd& fd) {
  struct stat status {};
  fstat(fd.get(), &status);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(SharedMemory, CostsNothingUntilItIsCommittedAndNothingOnceItIsGivenBack) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();
  EXPECT_EQ(held(fd), 0u);

  ASSERT_TRUE(commit(fd.get(), 4096, 1 << 20).ok());
  EXPECT_EQ(held(fd), std::uint64_t{1 << 20});
  decommit(fd.get(), 4096, 1 << 20);

  EXPECT_EQ(held(fd), 0u);
}

TEST(SharedMemory, ReadsAsZeroAfterItWasGivenBack) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();
  const Mapping mapping = Mapping::map(fd.get(), kBytes, Access::read_write).value_or_throw();
  mapping.data()[5000] = std::byte{7};

  decommit(fd.get(), 4096, 4096);

  EXPECT_EQ(mapping.data()[5000], std::byte{0});
}

TEST(SharedMemory, CannotBeGrownShrunkOrSealedFurther) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();

  EXPECT_NE(ftruncate(fd.get(), kBytes - 4096), 0);
  EXPECT_NE(ftruncate(fd.get(), kBytes + 4096), 0);
  EXPECT_NE(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(SharedMemory, ReopenedForReadingCannotBeMappedForWriting) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();
  const Mapping writable = Mapping::map(fd.get(), kBytes, Access::read_write).value_or_throw();
  writable.data()[0] = std::byte{42};
  const UniqueFd reader = reopen_read_only(fd.get()).value_or_throw();

  EXPECT_FALSE(Mapping::map(reader.get(), kBytes, Access::read_write).ok());
  const Mapping view = Mapping::map(reader.get(), kBytes, Access::read_only).value_or_throw();

  EXPECT_EQ(view.data()[0], std::byte{42});
  EXPECT_NE(mprotect(view.data(), 4096, PROT_READ | PROT_WRITE), 0);
}

TEST(SharedMemory, IsNotInheritedByPrograms) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();
  const UniqueFd reader = reopen_read_only(fd.get()).value_or_throw();

  EXPECT_NE(fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(fcntl(reader.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SharedMemory, ThatCannotBeCommittedIsAnErrorAndNoSignal) {
  const UniqueFd fd = create_memory("test", kBytes).value_or_throw();

  const auto beyond = commit(fd.get(), kBytes, 4096);

  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().code, Code::backpressure);
  EXPECT_NE(beyond.error().message.find("4096"), std::string::npos);
}

TEST(MappingTest, OfABadDescriptorSaysWhy) {
  const auto mapping = Mapping::map(-1, 4096, Access::read_only);

  ASSERT_FALSE(mapping.ok());
  EXPECT_EQ(mapping.error().message,
            "cannot map 4096 bytes of shared memory: Bad file descriptor (EBADF)");
}

}  // namespace
}  // namespace pyhost::base
