// pool_bench.cc: the C++ API as an application uses it, with two workers.
#include <benchmark/benchmark.h>
#include <pyhost/pyhost.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

namespace {

pyhost::Pool& pool() {
  static pyhost::Pool started =
      pyhost::Pool::start({.script = PYHOST_BENCH_SCRIPT, .workers = 2}).value_or_throw();
  return started;
}

// A call that does nothing, one after the other. The percentiles are of single calls.
void call(benchmark::State& state) {
  pool().call<int>("noop", 7);
  std::vector<double> micros;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(pool().call<int>("noop", 7));
    micros.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::sort(micros.begin(), micros.end());
  state.counters["p50_us"] = micros[micros.size() / 2];
  state.counters["p99_us"] = micros[micros.size() * 99 / 100];
}
BENCHMARK(call)->UseRealTime()->Unit(benchmark::kMicrosecond);

// 20,000 calls submitted one by one, then all results taken.
void submit(benchmark::State& state) {
  constexpr int kCount = 20'000;
  pool().call<int>("noop", 7);
  for (auto _ : state) {
    std::vector<pyhost::Future<int>> futures;
    futures.reserve(kCount);
    for (int i = 0; i < kCount; ++i) futures.push_back(pool().submit<int>("noop", i));
    for (auto& future : futures) benchmark::DoNotOptimize(future.get());
  }
  state.SetItemsProcessed(state.iterations() * kCount);
}
BENCHMARK(submit)->UseRealTime()->Unit(benchmark::kMillisecond);

// One call per element, in batches of the pool's own choice.
void map(benchmark::State& state) {
  std::vector<double> inputs(1'000'000);
  std::iota(inputs.begin(), inputs.end(), 0.0);
  for (auto _ : state) {
    double sum = 0;
    for (pyhost::Result<double>& result : pool().map<double>("square", inputs)) sum += *result;
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(inputs.size()));
}
BENCHMARK(map)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
