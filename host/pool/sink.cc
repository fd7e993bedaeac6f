#include <cassert>
#include <string_view>

#include <pool/engine.h>
#include <wire/frames.h>

namespace pyhost::pool {

void Sink::settle_run(Run run) {  // NOLINT(performance-unnecessary-value-param): others keep it
  assert(run.codec == wire::Codec::json || run.codec == wire::Codec::pickle);
  std::string_view rest = run.payload;
  for (std::uint32_t i = 0; i < run.count; ++i) {
    const auto frame = wire::take_frame(rest);
    assert(frame);
    Outcome outcome;
    outcome.ok = true;
    outcome.codec = run.codec;
    outcome.payload = *frame;
    outcome.worker = run.worker;
    outcome.claimed_ns = run.claimed_ns;
    outcome.settled_ns = run.settled_ns;
    settle(run.first + i, std::move(outcome));
  }
}

}  // namespace pyhost::pool
