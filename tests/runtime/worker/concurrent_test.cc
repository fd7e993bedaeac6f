// Coroutines, and several calls in flight in one worker.
#include <runtime/worker/zygote_process.h>
#include <signal.h>

#include <algorithm>
#include <map>

namespace pyhost::test {
namespace {

constexpr const char* kScript = R"(
import asyncio, contextvars, functools, os, signal, threading, time

count = contextvars.ContextVar("count", default=0)
inside = 0
barriers = {}

def square(x): return x * x
def report(marker): os.write(1, marker)
async def plain(x): return x + 1
async def pause(x):
    await asyncio.sleep(0)
    return x
async def boom(x):
    await asyncio.sleep(0)
    raise ValueError(f"bad {x}")
async def leave(_): raise SystemExit(3)
async def wait_forever(_):
    loop = asyncio.get_running_loop()
    loop.call_soon(report, b"running")  # when this coroutine waits
    await loop.create_future()
async def deep_coroutine(x): return await wait_forever(x)
def c_loop(_):
    report(b"running")
    return sum(range(10 ** 13))
async def spin(_):
    report(b"running")
    while True: pass
async def careful(_):
    try:
        await wait_forever(0)
    except asyncio.CancelledError:
        return "cleaned up"
async def stack(_):
    import traceback
    return [frame.name for frame in traceback.extract_stack()]
def returns_coroutine(x): return plain(x)
class Callable:
    async def __call__(self, x): return await plain(x)
made = Callable()
half = functools.partial(plain)
async def counted(_):
    count.set(count.get() + 1)
    await asyncio.sleep(0)
    return count.get()
def counted_in_thread(_):
    count.set(count.get() + 1)
    return count.get()

# Returns only once `parties` calls of it run.
async def meet(parties):
    global inside
    inside += 1
    while inside < parties: await asyncio.sleep(0.001)
    return threading.current_thread() is threading.main_thread()
def meet_in_thread(parties):
    barrier = barriers.setdefault(parties, threading.Barrier(parties))
    barrier.wait()
    return threading.current_thread() is threading.main_thread()
gate = threading.Event()
def wait_for_gate(_):
    report(b"running")
    gate.wait()
    return "through"
async def open_gate(_): gate.set()
signal.signal(signal.SIGUSR1, lambda *_: gate.set())
def wait_for_signal(_): gate.wait()
def spin_in_thread(_):
    report(b"running")
    while True: pass
def sleep_in_thread(_):
    report(b"running")
    time.sleep(0.05)
    return "woke"
def shout(x): print("line", x)
def fork(_):
    child = os.fork()
    if child == 0: return "the copy"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
async def fork_in_coroutine(_): return fork(_)
def ident(_): return threading.current_thread().name
)";

class Concurrent : public testing::TestWithParam<process::Image> {
 protected:
  Concurrent() : zygote_(GetParam()) {
    const auto answer = zygote_.load_script(scripts_.add("functions.py", kScript));
    EXPECT_EQ(answer.header.kind, ControlKind::ready) << answer.body;
  }
  WorkerProcess start(std::uint32_t concurrency) {
    process::WorkerSettings settings;
    settings.concurrency = concurrency;
    return zygote_.start_worker(3, ControlKind::fork, settings);
  }
  static void interrupt(WorkerProcess& worker, const wire::Posted& posted, std::uint32_t item = 0) {
    worker.wire.interrupt(posted, item);
    kill(worker.pid, process::interrupt_signal());
  }
  // The next record that is not `started`.
  static Reply outcome(WorkerProcess& worker) {
    for (;;) {
      Reply reply = ZygoteProcess::next_reply(worker);
      if (reply.kind != wire::Kind::started) return reply;
    }
  }
  static Reply call_one(WorkerProcess& worker, const std::string& name, const std::string& json) {
    const wire::Posted posted = post(worker, define(worker, name), {json});
    Reply reply = outcome(worker);
    worker.wire.finish(posted);
    return reply;
  }

  static bool ends_when_the_gate_opens(WorkerProcess& worker, const wire::Posted& waiting) {
    (void)post(worker, define(worker, "open_gate"), {"0"});
    const std::uint32_t one = outcome(worker).batch;
    const std::uint32_t other = outcome(worker).batch;
    return one == waiting.batch || other == waiting.batch;
  }

  Scripts scripts_;
  ZygoteProcess zygote_;
};

INSTANTIATE_TEST_SUITE_P(Images, Concurrent,
                         testing::Values(process::Image::executable, process::Image::libpython),
                         [](const auto& image) {
                           return std::string(process::image_name(image.param));
                         });

TEST_P(Concurrent, AwaitsWhatAFunctionReturnsOneByOneAndInFlight) {
  for (const std::uint32_t concurrency : {1U, 4U}) {
    WorkerProcess worker = start(concurrency);
    EXPECT_EQ(call_one(worker, "square", "3").payload, "9");
    EXPECT_EQ(call_one(worker, "plain", "1").payload, "2");
    EXPECT_EQ(call_one(worker, "pause", "1").payload, "1");
    EXPECT_EQ(call_one(worker, "returns_coroutine", "5").payload, "6");
    EXPECT_EQ(call_one(worker, "made", "6").payload, "7");
    EXPECT_EQ(call_one(worker, "half", "7").payload, "8");
    const std::string error = error_text(call_one(worker, "boom", "7"));
    EXPECT_NE(error.find("bad 7"), std::string::npos) << error;
    EXPECT_EQ(error.find("asyncio"), std::string::npos) << error;
    EXPECT_NE(error_text(call_one(worker, "leave", "0")).find("SystemExit"), std::string::npos);
    EXPECT_NE(error_text(call_one(worker, "squar", "0")).find("did you mean `square`?"),
              std::string::npos);
    EXPECT_EQ(call_one(worker, "square", "[1,").status, Status::marshal);
    EXPECT_EQ(call_one(worker, "square", "4").payload, "16");
  }
}

TEST_P(Concurrent, CancelsACoroutineThatWaitsAndRaisesInOneThatRuns) {
  for (const std::uint32_t concurrency : {1U, 4U}) {
    WorkerProcess worker = start(concurrency);
    for (const auto& [name, expected] :
         std::map<std::string, std::string>{{"wait_forever", "asyncio.exceptions.CancelledError"},
                                            {"spin", "pyhost.TaskInterrupted"}}) {
      const wire::Posted posted = post(worker, define(worker, name), {"0"});
      EXPECT_EQ(read_some(worker.out), "running");
      interrupt(worker, posted);
      const Reply reply = outcome(worker);
      worker.wire.finish(posted);
      EXPECT_EQ(reply.status, Status::raised);
      EXPECT_NE(error_text(reply).find("\"type\":\"" + expected), std::string::npos)
          << error_text(reply);
    }
    const wire::Posted posted = post(worker, define(worker, "careful"), {"0"});
    EXPECT_EQ(read_some(worker.out), "running");
    interrupt(worker, posted);
    EXPECT_EQ(outcome(worker).payload, "\"cleaned up\"");
    worker.wire.finish(posted);
    EXPECT_EQ(call_one(worker, "plain", "1").payload, "2");
  }
}

TEST_P(Concurrent, RunsAsManyCallsAsItMayAndNoMore) {
  WorkerProcess worker = start(3);
  const wire::Posted posted =
      post(worker, define(worker, "wait_for_gate"), {"0", "1", "2", "3", "4"});

  std::vector<std::uint32_t> started;
  for (int i = 0; i < 3; ++i) {
    const Reply reply = ZygoteProcess::next_reply(worker);
    EXPECT_EQ(reply.kind, wire::Kind::started);
    EXPECT_EQ(reply.batch, posted.batch);
    EXPECT_GT(reply.claimed_ns, 0U);
    started.push_back(reply.item);
  }
  EXPECT_EQ(started, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(worker.wire.claim().items, 3U);
}

TEST_P(Concurrent, RunsCoroutinesAndThreadsAtTheSameTime) {
  WorkerProcess worker = start(16);
  const std::vector<std::string> items(8, "8");

  (void)post(worker, define(worker, "meet"), items);
  (void)post(worker, define(worker, "meet_in_thread"), items);

  std::map<std::string, int> answers;
  for (int i = 0; i < 16; ++i) ++answers[outcome(worker).payload];
  EXPECT_EQ(answers, (std::map<std::string, int>{{"true", 8}, {"false", 8}}));
}

TEST_P(Concurrent, RepliesInTheOrderInWhichCallsEnd) {
  WorkerProcess worker = start(2);
  const wire::Posted waiting = post(worker, define(worker, "wait_for_gate"), {"0"});
  const wire::Posted quick = post(worker, define(worker, "square"), {"3"});

  EXPECT_EQ(outcome(worker).batch, quick.batch);
  EXPECT_TRUE(ends_when_the_gate_opens(worker, waiting));
}

TEST_P(Concurrent, GivesTheRoomOfRecordsBackAndWorksOn) {
  WorkerProcess worker = start(8);
  const std::uint32_t quick = define(worker, "plain");
  const std::uint32_t threaded = define(worker, "square");
  for (int round = 0; round < 300; ++round) {
    const wire::Posted first = post(worker, quick, std::vector<std::string>(10, "1"));
    const wire::Posted second = post(worker, threaded, std::vector<std::string>(10, "3"));
    int sum = 0;
    for (int i = 0; i < 20; ++i) sum += std::stoi(outcome(worker).payload);
    ASSERT_EQ(sum, 10 * 2 + 10 * 9);
    worker.wire.finish(first);
    worker.wire.finish(second);
  }
}

TEST_P(Concurrent, InterruptsOneThreadAndNoOther) {
  WorkerProcess worker = start(4);
  const wire::Posted waiting = post(worker, define(worker, "wait_for_gate"), {"0"});
  EXPECT_EQ(read_some(worker.out), "running");
  const wire::Posted spinning = post(worker, define(worker, "spin_in_thread"), {"0"});
  EXPECT_EQ(read_some(worker.out), "running");

  interrupt(worker, spinning);

  const Reply reply = outcome(worker);
  EXPECT_EQ(reply.batch, spinning.batch);
  EXPECT_NE(error_text(reply).find("pyhost.TaskInterrupted"), std::string::npos);
  EXPECT_TRUE(ends_when_the_gate_opens(worker, waiting));
}

TEST_P(Concurrent, ForgetsAnInterruptThatCameTooLateForItsCall) {
  WorkerProcess worker = start(2);
  const std::uint32_t sleeping = define(worker, "sleep_in_thread");
  const std::uint32_t square = define(worker, "square");
  for (int round = 0; round < 5; ++round) {
    // Raised only when sleep() is over: at the `return`, or not at all.
    const wire::Posted posted = post(worker, sleeping, {"0"});
    EXPECT_EQ(read_some(worker.out), "running");
    interrupt(worker, posted);
    (void)outcome(worker);
    worker.wire.finish(posted);

    const wire::Posted next = post(worker, square, std::vector<std::string>(4, "3"));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(outcome(worker).payload, "9");
    worker.wire.finish(next);
  }
}

TEST_P(Concurrent, SaysWhereItsCallsAreWhenItIsAsked) {
  for (const std::uint32_t concurrency : {1U, 4U}) {
    WorkerProcess worker = start(concurrency);
    (void)post(worker, define(worker, "deep_coroutine"), {"0"});
    EXPECT_EQ(read_some(worker.out), "running");
    if (concurrency > 1) {
      (void)post(worker, define(worker, "wait_for_gate"), {"0"});
      EXPECT_EQ(read_some(worker.out), "running");
    }

    kill(worker.pid, process::interrupt_signal());
    const std::string text = forensics(worker, "pyhost: end of stacks\n");

    EXPECT_TRUE(text.starts_with("pyhost: stacks\n")) << text;
    EXPECT_NE(text.find(" in wait_forever\n"), std::string::npos) << text;
    EXPECT_NE(text.find(" in deep_coroutine\n"), std::string::npos) << text;
    EXPECT_EQ(text.find(" in wait_for_gate\n") != std::string::npos, concurrency > 1) << text;
    EXPECT_EQ(text.find("_bootstrap"), std::string::npos) << text;
  }
}

TEST_P(Concurrent, AnswersTheSecondQuestionEvenWhenAThreadHoldsTheGil) {
  WorkerProcess worker = start(4);
  (void)post(worker, define(worker, "c_loop"), {"0"});
  EXPECT_EQ(read_some(worker.out), "running");

  for (int i = 0; i < 2; ++i) kill(worker.pid, process::interrupt_signal());

  const std::string text = forensics(worker, "pyhost: end of stacks\n");
  EXPECT_NE(text.find(" in c_loop\n"), std::string::npos) << text;
  kill(worker.pid, SIGKILL);
}

TEST_P(Concurrent, GivesEveryCallItsOwnContextVariables) {
  WorkerProcess worker = start(4);
  (void)post(worker, define(worker, "counted"), std::vector<std::string>(8, "0"));
  (void)post(worker, define(worker, "counted_in_thread"), std::vector<std::string>(8, "0"));

  for (int i = 0; i < 16; ++i) EXPECT_EQ(outcome(worker).payload, "1");
}

TEST_P(Concurrent, TellsOfWhatThreadsPrinted) {
  WorkerProcess worker = start(4);

  const Reply loud = call_one(worker, "shout", "1");

  EXPECT_TRUE(loud.printed);
  EXPECT_EQ(read_some(worker.out), "line 1\n");
  EXPECT_FALSE(call_one(worker, "square", "1").printed);
  EXPECT_TRUE(call_one(worker, "ident", "1").payload.starts_with("\"pyhost-call-"));
}

TEST_P(Concurrent, LetsCopiesForkedByTasksEnd) {
  WorkerProcess worker = start(4);

  EXPECT_EQ(call_one(worker, "fork", "0").payload, "0");
  EXPECT_EQ(call_one(worker, "fork_in_coroutine", "0").payload, "0");
  EXPECT_EQ(call_one(worker, "square", "3").payload, "9");
}

TEST_P(Concurrent, TakesItemsThatAreNumbers) {
  WorkerProcess worker = start(4);
  const std::array<std::int64_t, 2> start_and_step = {10, 5};
  const wire::Call range{.function = define(worker, "square"),
                         .codec = Codec::range,
                         .end = 6,
                         .result_codec = Codec::json,
                         .payload = std::as_bytes(std::span(start_and_step))};

  ASSERT_TRUE(worker.wire.post(range).value_or_throw().has_value());
  worker.wire.notify();

  std::map<std::uint32_t, std::string> results;
  for (int i = 0; i < 6; ++i) {
    const Reply reply = outcome(worker);
    results[reply.item] = reply.payload;
  }
  EXPECT_EQ(results, (std::map<std::uint32_t, std::string>{
                         {0, "100"}, {1, "225"}, {2, "400"}, {3, "625"}, {4, "900"}, {5, "1225"}}));
}

TEST_P(Concurrent, DoesNotRunRevokedItems) {
  WorkerProcess worker = start(2);
  const std::uint32_t waiting = define(worker, "wait_for_signal");
  wire::Posted posted = post(worker, waiting, std::vector<std::string>(5, "0"));
  for (int i = 0; i < 2; ++i) (void)ZygoteProcess::next_reply(worker);

  EXPECT_EQ(worker.wire.shrink(posted, 2), 2U);
  const wire::Posted second = post(worker, define(worker, "square"), {"3"});
  kill(worker.pid, SIGUSR1);

  std::map<std::uint32_t, int> replies;
  for (int i = 0; i < 3; ++i) ++replies[outcome(worker).batch];
  EXPECT_EQ(replies, (std::map<std::uint32_t, int>{{posted.batch, 2}, {second.batch, 1}}));
}

TEST(ConcurrentRetiring, WaitsForCallsCancelsTasksAndRunsExitFunctions) {
  Scripts scripts;
  ZygoteProcess zygote;
  const std::string script = scripts.add("exits.py", R"(
import asyncio, atexit, os, time
atexit.register(os.write, 1, b"goodbye")
async def background():
    try: await asyncio.sleep(1000)
    finally: os.write(1, b"cancelled ")
async def start_background(_):
    global kept
    kept = asyncio.ensure_future(background())
    await asyncio.sleep(0)
def slow(_):
    time.sleep(0.05)
    os.write(1, b"done ")
)");
  ASSERT_EQ(zygote.load_script(script).header.kind, ControlKind::ready);
  process::WorkerSettings settings;
  settings.concurrency = 4;
  WorkerProcess worker = zygote.start_worker(0, ControlKind::fork, settings);
  (void)post(worker, define(worker, "start_background"), {"0"});
  (void)post(worker, define(worker, "slow"), {"0"});

  EXPECT_TRUE(worker.wire.post_retire());
  worker.wire.notify();

  EXPECT_EQ(zygote.next().header.status, 0);
  EXPECT_EQ(read_some(worker.out), "done cancelled goodbye");
}

}  // namespace
}  // namespace pyhost::test
