// What is left of a worker that crashed or reached its memory cap.
#include <runtime/worker/zygote_process.h>

namespace pyhost::test {
namespace {

constexpr const char* kScript = R"(
import ctypes, faulthandler, os, signal, sys

def square(x): return x * x
def segfault(_): ctypes.string_at(0)
def segfault_in_copy(_):
    child = os.fork()
    if child == 0: ctypes.string_at(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def abort(_): os.abort()
# In C alone: newer interpreters look after their own recursion.
def overflow(_): ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(1024), b"(" * 10 ** 6, 1)
def kill_by_signal(_): os.kill(os.getpid(), signal.SIGBUS)

def hoard(megabytes): return len(bytearray(megabytes << 20))
def hoard_objects(_):
    everything = []
    while True: everything.append(str(len(everything)) * 10)
def return_much(megabytes): return "x" * (megabytes << 20)
class Own(MemoryError): pass
def own(_): raise Own("full")
class Lost(LookupError, OSError): pass
def lose(_): raise Lost("x")
)";

class Forensics : public testing::TestWithParam<process::Image> {
 protected:
  Forensics() : zygote_(GetParam()) {
    const auto answer = zygote_.load_script(scripts_.add("functions.py", kScript));
    EXPECT_EQ(answer.header.kind, ControlKind::ready) << answer.body;
  }
  WorkerProcess start_capped(std::uint64_t megabytes) {
    process::WorkerSettings settings;
    settings.memory_bytes = megabytes << 20;
    return zygote_.start_worker(0, ControlKind::fork, settings);
  }
  // Lets a worker die of `name`; what it left behind.
  std::string die_of(const std::string& name) {
    WorkerProcess worker = zygote_.start_worker();
    (void)post(worker, define(worker, name), {"0"});
    last_ = zygote_.next();
    EXPECT_EQ(last_.header.kind, ControlKind::exited);
    return read_all(worker);
  }
  static std::string read_all(const WorkerProcess& worker) {
    std::string all(std::size_t{64} * 1024, '\0');
    const ssize_t got = pread(worker.forensics.get(), all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
  }

  Scripts scripts_;
  ZygoteProcess zygote_;
  ControlMessage last_;
};

INSTANTIATE_TEST_SUITE_P(Images, Forensics,
                         testing::Values(process::Image::executable, process::Image::libpython),
                         [](const auto& image) {
                           return std::string(process::image_name(image.param));
                         });

TEST_P(Forensics, NameTheLibraryOfASegmentationFaultAndThePythonStack) {
  const std::string text = die_of("segfault");

  EXPECT_EQ(WTERMSIG(last_.header.status), SIGSEGV);
  const std::string first = text.substr(0, text.find('\n'));
  EXPECT_TRUE(first.starts_with("pyhost: signal 11 in /")) << text;
  EXPECT_NE(first.find("libc"), std::string::npos) << text;
  EXPECT_NE(text.find("Fatal Python error: Segmentation fault"), std::string::npos) << text;
  EXPECT_NE(text.find(" in segfault\n"), std::string::npos) << text;
}

TEST_P(Forensics, SayWhoSentASignal) {
  const std::string aborted = die_of("abort");
  EXPECT_EQ(WTERMSIG(last_.header.status), SIGABRT);
  const std::string killed = die_of("kill_by_signal");
  EXPECT_EQ(WTERMSIG(last_.header.status), SIGBUS);

  const std::string start = "pyhost: signal 7 sent by process " + std::to_string(last_.header.pid);
  EXPECT_TRUE(killed.starts_with(start + "\n")) << killed;
  EXPECT_TRUE(aborted.starts_with("pyhost: signal 6 sent by process ")) << aborted;
  EXPECT_NE(aborted.find(" in abort\n"), std::string::npos) << aborted;
}

TEST_P(Forensics, SurviveAnOverflowOfTheStack) {
  const std::string text = die_of("overflow");

  EXPECT_EQ(WTERMSIG(last_.header.status), SIGSEGV);
  EXPECT_TRUE(text.starts_with("pyhost: signal 11 in /")) << text;
  EXPECT_NE(text.find("Fatal Python error"), std::string::npos) << text;
}

TEST_P(Forensics, AreNotWrittenByProcessesThatATaskForked) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "segfault_in_copy", "0").payload, "-11");

  EXPECT_EQ(read_all(worker), "");
  EXPECT_NE(read_some(worker.err).find("Fatal Python error"), std::string::npos);
}

TEST_P(Forensics, IncludeThePeakOfMemory) {
  WorkerProcess worker = zygote_.start_worker();
  EXPECT_EQ(call(worker, "hoard", "100").payload, "104857600");

  EXPECT_TRUE(worker.wire.post_retire());
  worker.wire.notify();

  EXPECT_GT(zygote_.next().header.peak_bytes, std::uint64_t{100} << 20);
}

TEST_P(Forensics, ListTheClassesOfAnException) {
  WorkerProcess worker = zygote_.start_worker();

  const std::string error = error_text(call(worker, "lose", "0"));

  EXPECT_NE(error.find(R"("bases":["functions.Lost","LookupError","OSError","Exception",)"
                       R"("BaseException"])"),
            std::string::npos)
      << error;
}

TEST_P(Forensics, OfAMemoryErrorUnderACapAreAStatusOfTheirOwn) {
  WorkerProcess worker = start_capped(64);

  EXPECT_EQ(call(worker, "hoard", "32").payload, "33554432");
  EXPECT_EQ(call(worker, "hoard", "80").status, Status::memory);
  EXPECT_EQ(call(worker, "return_much", "40").status, Status::memory);
  EXPECT_EQ(call(worker, "own", "0").status, Status::memory);
  EXPECT_EQ(call(worker, "square", "3").payload, "9");
}

TEST_P(Forensics, OfAMemoryErrorInAThreadAreTheSame) {
  process::WorkerSettings settings;
  settings.memory_bytes = std::uint64_t{64} << 20;
  settings.concurrency = 2;
  WorkerProcess worker = zygote_.start_worker(0, ControlKind::fork, settings);
  (void)post(worker, define(worker, "hoard"), {"500", "10"});

  std::vector<Status> statuses(2);
  for (int i = 0; i < 4; ++i) {
    const Reply reply = ZygoteProcess::next_reply(worker);
    if (reply.kind == wire::Kind::reply) statuses.at(reply.item) = reply.status;
  }
  EXPECT_EQ(statuses, (std::vector<Status>{Status::memory, Status::ok}));
}

TEST_P(Forensics, OfAMemoryErrorNameThePlaceThoughNothingIsLeft) {
  WorkerProcess worker = start_capped(32);

  const Reply reply = call(worker, "hoard_objects", "0");

  EXPECT_EQ(reply.status, Status::memory);
  EXPECT_NE(error_text(reply).find("hoard_objects"), std::string::npos) << error_text(reply);
  EXPECT_EQ(call(worker, "square", "3").payload, "9");
}

TEST_P(Forensics, WithoutACapAMemoryErrorIsAnExceptionAsAnyOther) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "own", "0").status, Status::raised);
}

}  // namespace
}  // namespace pyhost::test
