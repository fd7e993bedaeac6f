// Arguments that are views of the host's memory, and how long the host must leave it alone.
#include <runtime/worker/zygote_process.h>

namespace pyhost::test {
namespace {

constexpr std::uint64_t kLarge = 1 << 20;  // more than fits in a record of the ring
constexpr std::uint64_t kSmall = 512;

constexpr const char* kScript = R"(
import gc, os
kept = []
def size(view): return memoryview(view).nbytes
def keep(view): kept.append(memoryview(view))
def cycle(view):
    pair = [view]
    pair.append(pair)
def collect(_): return gc.collect() > 0
def drop(_): kept.clear()
def read_in_copy(view):
    child = os.fork()
    if child == 0: os._exit(0 if sum(memoryview(view)) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
)";

class Blocks : public testing::Test {
 protected:
  Blocks() {
    EXPECT_EQ(zygote_.load_script(scripts_.add("views.py", kScript)).header.kind,
              ControlKind::ready);
    worker_.emplace(zygote_.start_worker());
  }
  // Calls with a buffer as the argument; `posted_` is that call.
  Reply call_with(const std::string& function, std::uint64_t size) {
    return call_with_buffer(*worker_, define(*worker_, function), size, posted_);
  }
  Scripts scripts_;
  ZygoteProcess zygote_;
  std::optional<WorkerProcess> worker_;
  wire::Posted posted_;
};

TEST_F(Blocks, AreFreeAfterACallThatKeptNothing) {
  const Reply reply = call_with("size", kLarge);

  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_FALSE(reply.keeps);
}

TEST_F(Blocks, StayInUseUntilTheLastViewIsGone) {
  const Reply kept = call_with("keep", kLarge);
  worker_->wire.finish(posted_, kept.keeps);
  const Reply dropped = call(*worker_, "drop", "0");
  const Reply release = ZygoteProcess::next_reply(*worker_);

  EXPECT_TRUE(kept.keeps);
  EXPECT_EQ(dropped.status, Status::ok);
  EXPECT_EQ(release.kind, wire::Kind::release);
  EXPECT_EQ(release.block, posted_.block);
}

TEST_F(Blocks, AreReleasedWhenTheCollectorFindsTheView) {
  const Reply kept = call_with("cycle", kLarge);
  worker_->wire.finish(posted_, kept.keeps);
  (void)call(*worker_, "collect", "0");

  EXPECT_TRUE(kept.keeps);
  EXPECT_EQ(ZygoteProcess::next_reply(*worker_).kind, wire::Kind::release);
}

TEST_F(Blocks, AreNotInvolvedWhenTheArgumentIsSmall) {
  const Reply kept = call_with("keep", kSmall);

  EXPECT_EQ(kept.status, Status::ok);
  EXPECT_FALSE(kept.keeps) << "the view is a copy: the ring moves on";
}

TEST_F(Blocks, CanBeReadInACopyThatTheTaskForked) {
  const Reply reply = call_with("read_in_copy", kLarge);

  EXPECT_EQ(reply.status, Status::ok);
  // A pickle item of the number 0 ends in its opcodes K, 0 and stop.
  EXPECT_TRUE(reply.payload.ends_with(std::string("K\0.", 3))) << "the copy could not read it";
}

}  // namespace
}  // namespace pyhost::test
