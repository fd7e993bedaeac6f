// error_payload_fuzz.cc: what a worker says of a failure.
#include <pool/error_payload.h>

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyhost::Code;
  pyhost::fuzz::Input input(data, size);
  const bool framed = (input.take<std::uint8_t>() & 1) != 0;
  const pyhost::Error error = framed ? pyhost::pool::error_from_payload(input.rest(), Code::marshal)
                                     : pyhost::pool::error_from_json(input.rest(), Code::marshal);
  PYHOST_MUST(error.code == Code::marshal || error.code == Code::protocol);
  PYHOST_MUST(error.code == Code::marshal || !error.message.empty());
  PYHOST_MUST(error.what() != nullptr);
  int causes = 0;
  for (const pyhost::Error* at = &error; at != nullptr; at = at->cause.get()) {
    PYHOST_MUST(at->frames.size() <= 1000);
    ++causes;
  }
  PYHOST_MUST(causes <= 32);
  return 0;
}
