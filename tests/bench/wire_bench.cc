// wire_bench.cc: what the wire costs without Python: a round trip, and a stream of small calls.
//
// The peer is a process of its own that echoes, as a worker would, and ends with the benchmark.
#include <base/fd.h>
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wire/host_end.h>
#include <wire/worker_end.h>

#include <cstdlib>
#include <string>

namespace {

using pyhost::base::UniqueFd;
using pyhost::wire::HostEnd;
using pyhost::wire::WorkerEnd;

// Answers every item of every call with its payload, until it is told to retire.
[[noreturn]] void echo(UniqueFd host_region, UniqueFd worker_region, UniqueFd doorbell) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto wire =
      WorkerEnd::attach(std::move(host_region), std::move(worker_region), std::move(doorbell));
  if (!wire.ok()) _exit(1);
  for (;;) {
    auto incoming = wire->next();
    if (!incoming) {
      wire->wait();
      continue;
    }
    if (incoming->envelope.kind == pyhost::wire::Kind::retire) _exit(0);
    const pyhost::wire::Bytes parts[] = {incoming->payload};
    for (std::uint32_t item = incoming->envelope.first; wire->claim(*incoming, item); ++item) {
      const pyhost::wire::Outgoing reply{
          .batch = incoming->envelope.batch, .item = item, .claimed_ns = wire->claimed_ns()};
      while (!wire->reply(reply, parts).value_or_throw()) wire->wait_room();
      if (item + 1 == incoming->envelope.end) break;
    }
    wire->passed(*incoming);
  }
}

// Owns the host's end and the peer.
class Peer {
 public:
  Peer() : host(HostEnd::create().value_or_throw()) {
    UniqueFd doorbell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto host_region = host.share_host_region().value_or_throw();
    auto worker_region = host.share_worker_region().value_or_throw();
    pid_ = fork();
    if (pid_ == 0) echo(std::move(host_region), std::move(worker_region), std::move(doorbell));
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  HostEnd host;

 private:
  pid_t pid_ = -1;
};

pyhost::wire::Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void take_reply(HostEnd& host) {
  for (;;) {
    auto reply = host.next_reply().value_or_throw();
    if (reply) return benchmark::DoNotOptimize(reply);
  }
}

// One call at a time; both sides spin, so this is the floor of a synchronous call.
void round_trip(benchmark::State& state) {
  Peer peer;
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    auto posted = peer.host.post({.payload = bytes_of(payload)}).value_or_throw();
    if (!posted) return state.SkipWithError("no room for one call");
    peer.host.notify();
    take_reply(peer.host);
    peer.host.finish(*posted);
  }
}
BENCHMARK(round_trip)->Arg(16)->Arg(1024)->Arg(65536)->UseRealTime();

// Batches of a thousand items, one reply each.
void batched_items(benchmark::State& state) {
  Peer peer;
  const std::string payload(16, 'x');
  const std::uint32_t count = 1000;
  for (auto _ : state) {
    auto posted = peer.host.post({.end = count, .payload = bytes_of(payload)}).value_or_throw();
    if (!posted) return state.SkipWithError("no room for one batch");
    peer.host.notify();
    for (std::uint32_t i = 0; i < count; ++i) take_reply(peer.host);
    peer.host.finish(*posted);
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(batched_items)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
