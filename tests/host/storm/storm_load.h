// storm_load.h: the calls of one round of a storm, and what may become of each.
//
//   submit_some() -> [killings] -> settle_all(): every call ends once, in a way its kind allows,
//   and ran at most once unless it may be retried
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "host/pool/pool_fixture.h"

namespace pyhost::tests {

using Random = std::mt19937;

// How long a call may take to settle, with a dozen deaths in its way: only a call that is lost
// takes so long.
inline constexpr auto kSettlesWithin = std::chrono::seconds(30);

class Round {
 public:
  Round(Pool& pool, Random& random, const std::string& log, bool coroutines)
      : pool_(pool), random_(random), log_(log), coroutines_(coroutines) {}

  void submit_some() {
    const int calls = static_cast<int>(random_() % 30);
    for (int i = 0; i < calls; ++i) submit_one();
  }

  // Cancels a few, some of them forcibly. They may have settled before.
  void cancel_some() {
    for (Call& call : calls_) {
      if (random_() % 16 == 0) call.cancelled = call.cancel(random_() % 2 == 0) || call.cancelled;
    }
  }

  // Has every worker run one call. That of a worker that ends before is cancelled.
  void broadcast() {
    const int n = next_++;
    auto futures = pool_.broadcast<int>("note", log_, n);
    const int runs = static_cast<int>(futures.size());
    for (auto& future : futures) {
      add<int>({.kind = "broadcast", .number = n, .runs = runs, .cancelled = true},
               std::move(future), n);
    }
  }

  // Maps over a few hundred items in between. Of these, any may be lost to a killed worker.
  void map_some() {
    std::vector<std::pair<std::string, int>> inputs;
    for (unsigned i = random_() % 300; i > 0; --i) inputs.emplace_back(log_, next_++);
    std::size_t index = 0;
    for (const Result<int>& result : pool_.map<int>("note_pair", inputs)) {
      if (!result.ok()) {
        EXPECT_EQ(result.error().code, Code::worker_crashed) << result.error().what();
      } else {
        EXPECT_EQ(*result, inputs[index].second);
        succeeded_.push_back(*result);
      }
      ++index;
    }
    EXPECT_EQ(index, inputs.size());
  }

  void settle_all() {
    for (Call& call : calls_) {
      ASSERT_TRUE(call.wait()) << call.kind << " " << call.number << " never settled";
      const Error error = call.outcome();
      if (error.message.empty()) {
        succeeded_.push_back(call.number);
      } else {
        check_failure(call, error);
      }
    }
    check_log();
    // A continuation runs once for each, on a thread of the pool, some time after the call settled.
    const auto limit = std::chrono::steady_clock::now() + kSettlesWithin;
    while (*told_ < static_cast<int>(calls_.size()) && std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    EXPECT_EQ(*told_, static_cast<int>(calls_.size()));
  }

 private:
  struct Call {
    const char* kind = "";
    int number = 0;
    int runs = 1;  // at most
    bool cancelled = false;
    std::function<bool()> wait;
    std::function<Error()> outcome;  // an Error without a message: the right result
    std::function<bool(bool)> cancel;
  };

  template <class T>
  void add(Call call, Future<T> future, T expected) {
    future.then([told = told_](const Result<T>&) { ++*told; });
    auto shared = std::make_shared<Future<T>>(std::move(future));
    call.wait = [shared] { return shared->wait_for(kSettlesWithin); };
    call.cancel = [shared](bool force) { return shared->cancel(force); };
    call.outcome = [shared, expected, number = call.number] {
      const Result<T> result = shared->try_get();
      if (!result.ok()) return result.error();
      EXPECT_EQ(*result, expected) << "of call " << number;
      return Error();
    };
    calls_.push_back(std::move(call));
  }

  void submit_one() {
    using namespace std::chrono_literals;
    const int n = next_++;
    const int retries = random_() % 4 == 0 ? 2 : 0;
    const Caller caller = pool_.with({.retries = retries});
    const int runs = retries + 1;
    const int size = 1 << (random_() % 21);  // up to 1 MiB
    const double nap = static_cast<double>(random_() % 10) / 1000;
    const Caller limited = pool_.with({.timeout = 20ms, .grace = 20ms});
    switch (random_() % 16) {
      case 0:
        return add<int>({"take_text", n, runs},
                        caller.submit<int>("take_text", log_, n, std::string(size, 'x')), size);
      case 1:
        return add<std::string>({"give_text", n, runs},
                                caller.submit<std::string>("give_text", log_, n, size),
                                std::string(size, 'x'));
      case 2:
        return add<int>({"fail", n, runs}, caller.submit<int>("fail", log_, n), -1);
      case 3:
        return add<int>({"say", n, runs}, caller.submit<int>("say", log_, n), n);
      case 4:
        return add<int>({"nap", n, runs}, caller.submit<int>("nap", log_, n, nap), n);
      case 5:
        if (!coroutines_) break;
        return add<int>({"await_nap", n, runs}, caller.submit<int>("await_nap", log_, n, nap), n);
      case 6:  // rare, since each costs its worker or its time
        if (random_() % 4 != 0) break;
        return add<int>({"spin", n, 1}, limited.submit<int>("spin", log_, n), -1);
      case 7:
        if (random_() % 8 != 0) break;
        return add<int>({"die", n, runs}, caller.submit<int>("die", log_, n), -1);
      case 8:
        if (random_() % 8 != 0) break;
        return add<int>({"leave", n, 1}, pool_.submit<int>("leave", log_, n), -1);
      case 9:
        if (random_() % 8 != 0) break;
        return add<int>({"loop_in_c", n, 1}, limited.submit<int>("loop_in_c", log_, n), -1);
      case 10:
        if (random_() % 8 != 0) break;
        return add<int>({"stop", n, 1}, limited.submit<int>("stop", log_, n), -1);
      default:
        break;
    }
    add<int>({"note", n, runs}, caller.submit<int>("note", log_, n), n);
  }

  static void check_failure(const Call& call, const Error& error) {
    const std::string kind = call.kind;
    bool allowed =
        error.code == Code::worker_crashed || (error.code == Code::cancelled && call.cancelled);
    if (kind == "fail") allowed = allowed || error.type == "ValueError";
    if (kind == "spin" || kind == "loop_in_c" || kind == "stop")
      allowed = allowed || error.code == Code::timeout;
    EXPECT_TRUE(allowed) << kind << " " << call.number << ": " << kind_name(error.code) << ", "
                         << error.what();
  }

  // Nothing ran more often than it may, and what has a result ran.
  void check_log() {
    std::map<int, int> ran;
    std::ifstream lines(log_);
    for (int number = 0; lines >> number;) ++ran[number];
    std::map<int, const Call*> known;
    for (const Call& call : calls_) known[call.number] = &call;
    for (const auto& [number, times] : ran) {
      const auto call = known.find(number);
      const bool mapped = call == known.end();
      EXPECT_LE(times, mapped ? 1 : call->second->runs)
          << (mapped ? "an item of a map" : call->second->kind) << " " << number << " ran too often"
          << (mapped || !call->second->cancelled ? "" : ", and was cancelled");
    }
    for (const int number : succeeded_) EXPECT_GE(ran[number], 1) << "call " << number;
  }

  Pool& pool_;
  Random& random_;
  std::string log_;
  bool coroutines_;  // whether the pool runs them
  int next_ = 0;
  std::vector<Call> calls_;
  std::vector<int> succeeded_;
  std::shared_ptr<std::atomic<int>> told_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace pyhost::tests
