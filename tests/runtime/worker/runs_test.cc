// Results that travel together, and numbers without frames.
#include <initializer_list>

#include "runtime/worker/zygote_process.h"

namespace pyhost::test {
namespace {

constexpr const char* kScript = R"(
import os, signal

def square(x):
    return x * x

def half(x):
    return x / 2

def mixed(x):
    return [x, x / 2, str(x), True, 2 ** 70][x % 5]

def fails_at_three(x):
    if x == 3:
        raise ValueError(f"not {x}")
    return x

def dies_at_five(x):
    if x == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

def type_of(x):
    return type(x).__name__
)";

template <class Number>
std::string packed(std::initializer_list<Number> numbers) {
  return {reinterpret_cast<const char*>(numbers.begin()), numbers.size() * sizeof(Number)};
}
std::string ints(std::initializer_list<std::int64_t> numbers) {
  return packed(numbers);
}
std::string floats(std::initializer_list<double> numbers) {
  return packed(numbers);
}

class Runs : public testing::Test {
 protected:
  Runs() : worker_(start()) {}

  WorkerProcess start() {
    EXPECT_EQ(zygote_.load_script(scripts_.add("runs_script.py", kScript)).header.kind,
              ControlKind::ready);
    return zygote_.start_worker();
  }

  wire::Posted post_numbers(const std::string& function, Codec codec, const std::string& payload,
                            std::uint32_t count) {
    const std::uint32_t number = define(worker_, function);
    const wire::Call call{.function = number,
                          .codec = codec,
                          .style = Style::value,
                          .end = count,
                          .result_codec = Codec::json,
                          .packs = true,
                          .payload = bytes(payload)};
    const wire::Posted posted = *worker_.wire.post(call).value_or_throw();
    worker_.wire.notify();
    return posted;
  }

  Reply record() { return ZygoteProcess::next_record(worker_); }

  // The results up to item `end`: one record, or several when the worker had to wait for a CPU in
  // between, since a run that was open for long is sent.
  Reply results_until(std::uint32_t end) {
    Reply all = record();
    while (all.kind == wire::Kind::results && all.end < end) {
      const Reply more = record();
      EXPECT_EQ(more.kind, wire::Kind::results);
      EXPECT_EQ(more.item, all.end);
      if (more.kind != wire::Kind::results) break;
      all.payload += more.payload;
      all.end = more.end;
    }
    return all;
  }

  Scripts scripts_;
  ZygoteProcess zygote_;
  WorkerProcess worker_;
};

TEST_F(Runs, OfIntsComeAsNumbers) {
  const wire::Posted posted = post_numbers("square", Codec::i64, ints({1, -2, 3'000'000'000}), 3);
  const Reply reply = results_until(3);
  EXPECT_EQ(reply.kind, wire::Kind::results);
  EXPECT_EQ(reply.batch, posted.batch);
  EXPECT_EQ(reply.item, 0u);
  EXPECT_EQ(reply.end, 3u);
  EXPECT_EQ(reply.codec, Codec::i64);
  EXPECT_EQ(reply.payload, ints({1, 4, 9'000'000'000'000'000'000}));
  EXPECT_GT(reply.claimed_ns, 0u);
}

TEST_F(Runs, OfFloatsKeepTheirBits) {
  post_numbers("half", Codec::f64, floats({1.0, 5e-324, -0.0}), 3);
  EXPECT_EQ(results_until(3).payload, floats({0.5, 0.0, -0.0}));
}

TEST_F(Runs, OfARangeNeedNoArguments) {
  post_numbers("square", Codec::range, ints({10, -3}), 4);
  EXPECT_EQ(results_until(4).payload, ints({100, 49, 16, 1}));
}

TEST_F(Runs, ArgumentsAreIntsAndFloats) {
  post_numbers("type_of", Codec::i64, ints({1}), 1);
  EXPECT_EQ(record().payload, "\"int\"");
  post_numbers("type_of", Codec::f64, floats({1.0}), 1);
  EXPECT_EQ(record().payload, "\"float\"");
}

TEST_F(Runs, OfMixedTypesStayWhatTheyAre) {
  post_numbers("mixed", Codec::range, ints({5, 1}), 5);
  std::vector<std::string> results;
  for (std::uint32_t next = 0; next < 5;) {
    const Reply reply = record();
    ASSERT_EQ(reply.item, next);
    next = reply.kind == wire::Kind::results ? reply.end : next + 1;
    std::string_view rest = reply.payload;
    if (reply.kind == wire::Kind::reply) {
      results.push_back(reply.payload);
    } else if (reply.codec == Codec::i64) {
      results.emplace_back("i64");
    } else if (reply.codec == Codec::f64) {
      results.emplace_back("f64");
    } else {
      while (const auto frame = wire::take_frame(rest)) results.emplace_back(*frame);
    }
  }
  EXPECT_EQ(results,
            (std::vector<std::string>{"i64", "f64", "\"7\"", "true", "1180591620717411303424"}));
}

TEST_F(Runs, AFailureStandsBetweenRuns) {
  post_numbers("fails_at_three", Codec::range, ints({0, 1}), 6);
  EXPECT_EQ(results_until(3).payload, ints({0, 1, 2}));
  const Reply failed = record();
  EXPECT_EQ(failed.kind, wire::Kind::reply);
  EXPECT_EQ(failed.item, 3u);
  EXPECT_EQ(failed.status, Status::raised);
  EXPECT_NE(failed.payload.find("not 3"), std::string::npos);
  EXPECT_EQ(results_until(6).payload, ints({4, 5}));
}

TEST_F(Runs, ResultsBeforeADeathAreFoundInTheArena) {
  const wire::Posted posted = post_numbers("dies_at_five", Codec::range, ints({0, 1}), 100);
  ASSERT_TRUE(base::wait_exit(worker_.pidfd.get(), base::Deadline::in(kLimit)));
  // Nearly always all of them; what was sent before the death is there as well.
  std::string found;
  std::uint32_t first = 0;
  while (worker_.wire.replies_waiting()) {
    const Reply sent = record();
    found += sent.payload;
    first = sent.end;
  }
  if (const auto open = worker_.wire.open_run(); open.has_value()) {
    EXPECT_EQ(open->batch, posted.batch);
    EXPECT_EQ(open->first, first);
    found += open->payload;
  }
  EXPECT_EQ(found, ints({0, 1, 2, 3, 4}));
  EXPECT_EQ(worker_.wire.claim().items, 6u);
}

TEST_F(Runs, NothingIsLeftInTheArenaWhenAllWasSent) {
  post_numbers("square", Codec::range, ints({0, 1}), 100);
  EXPECT_EQ(results_until(100).end, 100u);
  post_numbers("square", Codec::range, ints({0, 1}), 1);
  record();
  EXPECT_FALSE(worker_.wire.open_run().has_value());
}

}  // namespace
}  // namespace pyhost::test
