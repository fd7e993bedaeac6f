#include <cassert>
#include <cstring>
#include <string_view>

#include <pool/engine.h>

namespace pyhost::pool {

void Sink::settle_run(Run run) {  // NOLINT(performance-unnecessary-value-param): others keep it
  assert(run.codec == wire::Codec::json || run.codec == wire::Codec::pickle);
  std::string_view rest = run.payload;
  for (std::uint32_t i = 0; i < run.count; ++i) {
    std::uint64_t length = 0;
    std::memcpy(&length, rest.data(), sizeof length);
    rest.remove_prefix(sizeof length);
    Outcome outcome;
    outcome.ok = true;
    outcome.codec = run.codec;
    outcome.payload = rest.substr(0, length);
    outcome.worker = run.worker;
    outcome.claimed_ns = run.claimed_ns;
    outcome.settled_ns = run.settled_ns;
    rest.remove_prefix(length);
    settle(run.first + i, std::move(outcome));
  }
}

}  // namespace pyhost::pool
