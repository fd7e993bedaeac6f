// What a worker does when the host asks a call to stop, or asks where it is.
#include <runtime/worker/zygote_process.h>
#include <signal.h>

namespace pyhost::test {
namespace {

constexpr const char* kScript = R"(
import os, threading, time

def square(x): return x * x
def report(marker): os.write(1, marker)
def spin(_):
    report(b"running")
    while True: pass
def sleep(_):
    report(b"running")
    time.sleep(1000)
def read(_):
    report(b"running")
    reader, writer = os.pipe()
    return os.read(reader, 1)
def wait_for_child(_):
    report(b"running")
    child = os.fork()
    if child == 0: time.sleep(1000)
    try:
        os.waitpid(child, 0)
    finally:
        os.kill(child, 9)
def wait_for_lock(_):
    lock = threading.Lock()
    lock.acquire()
    report(b"running")
    lock.acquire()
def guarded(_):
    try:
        spin(0)
    except Exception:
        return "swallowed"
def clean_up(_):
    import pyhost
    try:
        spin(0)
    except pyhost.TaskInterrupted as stop:
        return f"cleaned up after {stop!r}"
def stubborn(_):
    try:
        spin(0)
    except BaseException:
        report(b"again")
        end = time.monotonic() + 1000
        while not os.path.exists(flag): pass
        return "finished anyway"
def c_loop(_):
    report(b"running")
    return sum(range(10 ** 13))
flag = os.environ["PYHOST_TEST_FLAG"]
)";

class Interrupt : public testing::TestWithParam<process::Image> {
 protected:
  Interrupt() : zygote_(GetParam()) {
    const auto answer = zygote_.load_script(scripts_.add("functions.py", kScript));
    EXPECT_EQ(answer.header.kind, ControlKind::ready) << answer.body;
  }
  static void wake(const WorkerProcess& worker) { kill(worker.pid, process::interrupt_signal()); }

  // Posts one call of `name`, and interrupts it once it says that it runs.
  Reply interrupt_running(WorkerProcess& worker, const std::string& name) {
    const wire::Posted posted = post(worker, define(worker, name), {"0"});
    EXPECT_EQ(read_some(worker.out), "running");
    worker.wire.interrupt(posted, 0);
    wake(worker);
    Reply reply = ZygoteProcess::next_reply(worker);
    worker.wire.finish(posted);
    return reply;
  }

  Scripts scripts_;
  std::string flag_ = (scripts_.folder() / "flag").string();
  int set_ = setenv("PYHOST_TEST_FLAG", flag_.c_str(), 1);
  ZygoteProcess zygote_;
};

INSTANTIATE_TEST_SUITE_P(Images, Interrupt,
                         testing::Values(process::Image::executable, process::Image::libpython),
                         [](const auto& image) {
                           return std::string(process::image_name(image.param));
                         });

TEST_P(Interrupt, RaisesInALoopOfPythonAndLeavesTheWorkerUsable) {
  WorkerProcess worker = zygote_.start_worker();

  const Reply reply = interrupt_running(worker, "spin");

  EXPECT_EQ(reply.status, Status::raised);
  const std::string error = error_text(reply);
  EXPECT_NE(error.find("\"type\":\"pyhost.TaskInterrupted\""), std::string::npos) << error;
  EXPECT_NE(error.find("in spin"), std::string::npos) << error;
  EXPECT_EQ(call(worker, "square", "3").payload, "9");
}

TEST_P(Interrupt, EndsBlockingSystemCallsAndLocks) {
  WorkerProcess worker = zygote_.start_worker();

  for (const char* name : {"sleep", "read", "wait_for_lock", "wait_for_child", "read"}) {
    const std::string error = error_text(interrupt_running(worker, name));
    EXPECT_NE(error.find("pyhost.TaskInterrupted"), std::string::npos) << name << error;
  }
}

TEST_P(Interrupt, PassesHandlersOfExceptionAndStopsAtHandlersOfItsOwn) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(interrupt_running(worker, "guarded").status, Status::raised);
  EXPECT_EQ(interrupt_running(worker, "clean_up").payload,
            "\"cleaned up after TaskInterrupted('the host asked this call to stop')\"");
}

TEST_P(Interrupt, IsRaisedOncePerCall) {
  WorkerProcess worker = zygote_.start_worker();
  const wire::Posted posted = post(worker, define(worker, "stubborn"), {"0"});
  EXPECT_EQ(read_some(worker.out), "running");
  worker.wire.interrupt(posted, 0);
  wake(worker);
  EXPECT_EQ(read_some(worker.out), "again");

  for (int i = 0; i < 3; ++i) wake(worker);
  std::ofstream(flag_) << "now";

  EXPECT_EQ(ZygoteProcess::next_reply(worker).payload, "\"finished anyway\"");
}

TEST_P(Interrupt, DoesNothingToOtherItemsAndBetweenCalls) {
  WorkerProcess worker = zygote_.start_worker();
  wake(worker);
  const wire::Posted posted = post(worker, define(worker, "spin"), {"0", "1"});
  EXPECT_EQ(read_some(worker.out), "running");

  worker.wire.interrupt(posted, 1);  // not the one that runs
  wake(worker);
  forensics(worker, "pyhost: end of stacks");
  worker.wire.interrupt(posted, 0);
  wake(worker);
  EXPECT_EQ(ZygoteProcess::next_reply(worker).item, 0U);
  EXPECT_EQ(read_some(worker.out), "running");
  worker.wire.interrupt(posted, 1);
  wake(worker);

  EXPECT_EQ(ZygoteProcess::next_reply(worker).item, 1U);
}

TEST_P(Interrupt, WritesThePythonStackEvenFromALoopInC) {
  WorkerProcess worker = zygote_.start_worker();
  (void)post(worker, define(worker, "c_loop"), {"0"});
  EXPECT_EQ(read_some(worker.out), "running");

  wake(worker);

  const std::string text = forensics(worker, "pyhost: end of stacks\n");
  EXPECT_TRUE(text.starts_with("pyhost: stacks\n")) << text;
  EXPECT_NE(text.find(" in c_loop\n"), std::string::npos) << text;
  kill(worker.pid, SIGKILL);
}

}  // namespace
}  // namespace pyhost::test
