// What a worker does with calls, driven over a real wire.
#include <runtime/worker/zygote_process.h>

namespace pyhost::test {
namespace {

constexpr const char* kScript = R"(
import os, random, signal, sys, time

def square(x): return x * x
def add(a, b=0): return a + b
def boom(x): raise ValueError(f"bad {x}")
def leave(code): sys.exit(code)
def interrupt(_): raise KeyboardInterrupt
def shout(x): print("line", x); return x
def mumble(x): print("no newline", end=""); return x
def unsendable(_): return {1, 2}
def large(n): return "x" * n
def die(_): os.kill(os.getpid(), signal.SIGKILL)
def vanish(_): os._exit(0)
def draw(_): return random.random()
def draw_numpy(_):
    import numpy
    return numpy.random.random()
def streams(_): return [sys.stdin.read(), sys.stdout.line_buffering, sys.argv]
def handlers(_):
    return [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
def stray_fork(status):
    child = os.fork()
    if child == 0:
        if status is None: return "the copy"
        sys.exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def stack(_):
    import traceback
    return [frame.name for frame in traceback.extract_stack()]
class Box:
    @staticmethod
    def inside(x): return [x]
)";

class Worker : public testing::TestWithParam<process::Image> {
 protected:
  Worker() : zygote_(GetParam()) {
    const auto answer = zygote_.load_script(scripts_.add("functions.py", kScript));
    EXPECT_EQ(answer.header.kind, ControlKind::ready) << answer.body;
  }
  Scripts scripts_;
  ZygoteProcess zygote_;
};

INSTANTIATE_TEST_SUITE_P(Images, Worker,
                         testing::Values(process::Image::executable, process::Image::libpython),
                         [](const auto& image) {
                           return std::string(process::image_name(image.param));
                         });

TEST_P(Worker, CallsAFunctionInEveryStyle) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "square", "7").payload, "49");
  EXPECT_EQ(call(worker, "add", "[1, 2]", Style::args).payload, "3");
  EXPECT_EQ(call(worker, "add", R"({"a": 1, "b": 5})", Style::kwargs).payload, "6");
  EXPECT_EQ(call(worker, "add", R"([[1], {"b": 3}])", Style::call).payload, "4");
  EXPECT_EQ(call(worker, "Box.inside", "1").payload, "[1]");
  EXPECT_EQ(call(worker, "math.sqrt", "16").payload, "4.0");
}

TEST_P(Worker, RunsEveryItemOfABatchInOrder) {
  WorkerProcess worker = zygote_.start_worker();
  const wire::Posted posted = post(worker, define(worker, "square"), {"1", "2", "3"});

  for (std::uint32_t item = 0; item < 3; ++item) {
    const Reply reply = ZygoteProcess::next_reply(worker);
    EXPECT_EQ(reply.item, item);
    EXPECT_EQ(reply.batch, posted.batch);
    EXPECT_EQ(reply.payload, std::to_string((item + 1) * (item + 1)));
    EXPECT_GT(reply.claimed_ns, 0U);
  }
}

TEST_P(Worker, ReportsAnExceptionWithTypeMessageAndFrames) {
  WorkerProcess worker = zygote_.start_worker();

  const Reply reply = call(worker, "boom", "3");

  EXPECT_EQ(reply.status, Status::raised);
  const std::string error = error_text(reply);
  EXPECT_NE(error.find("ValueError"), std::string::npos) << error;
  EXPECT_NE(error.find("bad 3"), std::string::npos) << error;
  EXPECT_NE(error.find("functions.py"), std::string::npos) << error;
}

TEST_P(Worker, SurvivesSystemExitAndKeyboardInterrupt) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_NE(error_text(call(worker, "leave", "0")).find("SystemExit"), std::string::npos);
  EXPECT_NE(error_text(call(worker, "interrupt", "0")).find("KeyboardInterrupt"),
            std::string::npos);
  EXPECT_EQ(call(worker, "square", "2").payload, "4");
}

TEST_P(Worker, TellsAValueThatCannotCrossFromAnExceptionOfTheFunction) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "unsendable", "0").status, Status::marshal);
  EXPECT_EQ(call(worker, "square", "[1,").status, Status::marshal);
  EXPECT_EQ(call(worker, "square", "\"a\"").status, Status::raised);
}

TEST_P(Worker, NamesTheClosestFunctionInEveryCallOfAMissingOne) {
  WorkerProcess worker = zygote_.start_worker();
  const std::uint32_t number = define(worker, "squar");

  for (int i = 0; i < 2; ++i) {
    const wire::Posted posted = post(worker, number, {"1"});
    const std::string error = error_text(ZygoteProcess::next_reply(worker));
    worker.wire.finish(posted);
    EXPECT_NE(error.find("did you mean `square`?"), std::string::npos) << error;
  }
}

TEST_P(Worker, MarksTheReplyOfACallThatPrintedAfterWritingTheLine) {
  WorkerProcess worker = zygote_.start_worker();

  const Reply loud = call(worker, "shout", "1");
  const std::string line = read_some(worker.out);
  const Reply quiet = call(worker, "square", "1");

  EXPECT_TRUE(loud.printed);
  EXPECT_EQ(line, "line 1\n");
  EXPECT_FALSE(quiet.printed);
}

TEST_P(Worker, FlushesAPartialLineWhenItIsIdle) {
  WorkerProcess worker = zygote_.start_worker();

  (void)call(worker, "mumble", "1");

  EXPECT_EQ(read_some(worker.out), "no newline");
}

TEST_P(Worker, SendsAResultLargerThanTheRing) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "large", "20000000").payload.size(), 20000002U);
  EXPECT_EQ(call(worker, "square", "2").payload, "4");
}

TEST_P(Worker, WaitsForRoomWhenTheHostDoesNotReadReplies) {
  WorkerProcess worker = zygote_.start_worker();
  const std::vector<std::string> items(2000, "1000");

  const wire::Posted posted = post(worker, define(worker, "large"), items);

  for (std::uint32_t item = 0; item < items.size(); ++item) {
    ASSERT_EQ(ZygoteProcess::next_reply(worker).item, item);
  }
  worker.wire.finish(posted);
}

TEST_P(Worker, IsReportedByTheZygoteWithItsStatusWhenItDies) {
  WorkerProcess killed = zygote_.start_worker(4);
  WorkerProcess vanished = zygote_.start_worker(5);

  (void)post(killed, define(killed, "die"), {"0"});
  const ControlMessage first = zygote_.next();
  (void)post(vanished, define(vanished, "vanish"), {"0"});
  const ControlMessage second = zygote_.next();

  EXPECT_EQ(first.header.kind, ControlKind::exited);
  EXPECT_EQ(first.header.worker, 4);
  EXPECT_EQ(first.header.pid, killed.pid);
  EXPECT_TRUE(WIFSIGNALED(first.header.status));
  EXPECT_EQ(second.header.worker, 5);
  EXPECT_TRUE(WIFEXITED(second.header.status) && WEXITSTATUS(second.header.status) == 0);
  EXPECT_TRUE(base::wait_exit(killed.pidfd.get(), base::Deadline::in(kLimit)));
}

TEST_P(Worker, DrawsItsOwnRandomNumbers) {
  WorkerProcess first = zygote_.start_worker(0);
  WorkerProcess second = zygote_.start_worker(1);

  EXPECT_NE(call(first, "draw", "0").payload, call(second, "draw", "0").payload);
}

TEST_P(Worker, HasEmptyStdinWholeLinesAndQuietSignals) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "streams", "0").payload,
            R"(["",true,[")" + (scripts_.folder() / "functions.py").string() + "\"]]");
  EXPECT_EQ(call(worker, "handlers", "0").payload, "[1,0,1]");
}

TEST_P(Worker, ShowsUserCodeNoFramesButItsOwn) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "stack", "0").payload, R"(["stack"])");
}

TEST_P(Worker, LetsACopyForkedByATaskEndWithoutReplying) {
  WorkerProcess worker = zygote_.start_worker();

  EXPECT_EQ(call(worker, "stray_fork", "null").payload, "0");
  EXPECT_EQ(call(worker, "stray_fork", "7").payload, "7");
  EXPECT_EQ(call(worker, "square", "3").payload, "9");
}

TEST_P(Worker, CanBeTheZygoteItself) {
  WorkerProcess worker = zygote_.start_worker(0, ControlKind::become);

  EXPECT_EQ(call(worker, "square", "5").payload, "25");
  (void)post(worker, define(worker, "die"), {"0"});

  EXPECT_EQ(zygote_.next().header.kind, ControlKind::zygote_exited);
}

TEST(Retiring, RunsExitFunctionsAndFlushes) {
  Scripts scripts;
  ZygoteProcess zygote;
  const std::string script = scripts.add("exits.py",
                                         "import atexit, sys\n"
                                         "atexit.register(print, 'goodbye')\n"
                                         "def later(x):\n"
                                         "    atexit.register(sys.stdout.write, 'last words')\n");
  ASSERT_EQ(zygote.load_script(script).header.kind, ControlKind::ready);
  WorkerProcess worker = zygote.start_worker();
  (void)call(worker, "later", "1");

  EXPECT_TRUE(worker.wire.post_retire());
  worker.wire.notify();
  const ControlMessage exited = zygote.next();

  EXPECT_EQ(exited.header.kind, ControlKind::exited);
  EXPECT_EQ(exited.header.status, 0);
  EXPECT_EQ(read_some(worker.out), "last wordsgoodbye\n");
}

TEST(Reseeding, GivesWorkersTheirOwnNumpyNumbers) {
  Scripts scripts;
  ZygoteProcess zygote;
  const std::string script = scripts.add("lottery.py",
                                         "import numpy\n"
                                         "def draw(_): return numpy.random.random()\n");
  const ControlMessage answer = zygote.load_script(script);
  if (answer.header.kind == ControlKind::failed) GTEST_SKIP() << "no numpy here";
  WorkerProcess first = zygote.start_worker(0);
  WorkerProcess second = zygote.start_worker(1);

  EXPECT_NE(call(first, "draw", "0").payload, call(second, "draw", "0").payload);
}

TEST(Streams, OfAScriptThatReplacedStdoutStayItsOwn) {
  Scripts scripts;
  ZygoteProcess zygote;
  const std::string script = scripts.add("replaced.py",
                                         "import io, sys\n"
                                         "sys.stdout = io.StringIO()\n"
                                         "def collect(x):\n"
                                         "    print(x)\n"
                                         "    return sys.stdout.getvalue()\n");
  ASSERT_EQ(zygote.load_script(script).header.kind, ControlKind::ready);
  WorkerProcess worker = zygote.start_worker();

  EXPECT_EQ(call(worker, "collect", "1").payload, R"("1\n")");
}

TEST(Zygote, ReportsStatusesEvenWhenTheScriptIgnoresItsChildren) {
  Scripts scripts;
  ZygoteProcess zygote;
  const std::string script =
      scripts.add("ignores.py",
                  "import os, signal\n"
                  "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
                  "def vanish(status): os._exit(status)\n"
                  "def ignored(_): return signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN\n");
  ASSERT_EQ(zygote.load_script(script).header.kind, ControlKind::ready);
  WorkerProcess worker = zygote.start_worker();

  EXPECT_EQ(call(worker, "ignored", "0").payload, "true");
  (void)post(worker, define(worker, "vanish"), {"6"});

  EXPECT_EQ(WEXITSTATUS(zygote.next().header.status), 6);
}

TEST(Zygote, EndsOnceItIsToldToStopAndItsWorkersAreGone) {
  Scripts scripts;
  ZygoteProcess zygote;
  ASSERT_EQ(zygote.load_script(scripts.add("empty.py", "")).header.kind, ControlKind::ready);
  WorkerProcess worker = zygote.start_worker();

  zygote.send({.kind = ControlKind::stop});
  EXPECT_TRUE(worker.wire.post_retire());
  worker.wire.notify();

  EXPECT_EQ(zygote.next().header.kind, ControlKind::exited);
  const ControlMessage last = zygote.next();
  EXPECT_EQ(last.header.kind, ControlKind::zygote_exited);
  EXPECT_EQ(last.header.status, 0);
}

}  // namespace
}  // namespace pyhost::test
