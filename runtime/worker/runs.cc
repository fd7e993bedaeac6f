#include <worker/runs.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <python/packed.h>
#include <python/ref.h>

namespace pyhost::worker {
namespace {

using wire::Codec;

// Results of one run: as many small ones as a large batch has. More only delays them.
constexpr std::size_t kRunBytes = std::size_t{256} << 10;
// Longer results travel alone: copying them twice would cost more than a record of their own.
constexpr std::size_t kLongestFrame = 2048;
// How old a run gets while items come one after the other, in nanoseconds.
constexpr std::uint64_t kLongestRun = 1'000'000;

}  // namespace

// Makes sure that a run is open to which `bytes` can be added. Requires: the results before `index`
// are in it, or were sent.
bool Runs::extend(const wire::Envelope& call, std::uint32_t index, Codec codec, std::size_t bytes) {
  if (wire_.run_is_open() && codec_ == codec && wire_.run_room().size() >= bytes) return true;
  close();
  const std::size_t left = call.end - index;
  if (left == 1) return false;  // a plain reply is as good
  if (!wire_.open_run(call.batch, index, codec, std::min(left * bytes, kRunBytes))) return false;
  codec_ = codec;
  began_ns_ = wire_.claimed_ns();
  return true;
}

bool Runs::add_number(const wire::Envelope& call, std::uint32_t index, PyObject* result) {
  if ((call.flags & wire::kPacks) == 0) return false;
  const Codec codec = python::packs_as(result);
  // JSON has no NaN and no infinity: its encoder says so, and names the place.
  if (codec == Codec::f64 && call.result_codec == Codec::json &&
      !std::isfinite(PyFloat_AS_DOUBLE(result))) {
    return false;
  }
  if (codec == Codec::none || !extend(call, index, codec, sizeof(std::int64_t))) return false;
  python::pack(result, wire_.run_room().data());
  wire_.commit_run(sizeof(std::int64_t));
  return true;
}

bool Runs::add_encoded(const wire::Envelope& call, std::uint32_t index,
                       const python::Encoded& result) {
  const std::uint64_t bytes = result.bytes();
  if (bytes > kLongestFrame || result.has_buffers()) return false;
  if (!extend(call, index, call.result_codec, sizeof bytes + bytes)) return false;
  std::byte* to = wire_.run_room().data();
  std::memcpy(to, &bytes, sizeof bytes);
  to += sizeof bytes;
  for (const auto part : result.parts()) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  wire_.commit_run(sizeof bytes + bytes);
  return true;
}

void Runs::close(std::uint8_t flags) {
  while (!wire_.close_run(flags & wire::kPrinted)) {
    const python::WithoutGil without_gil;
    wire_.wait_room();
  }
}

bool Runs::is_late() const {
  return wire_.claimed_ns() - began_ns_ > kLongestRun;
}

}  // namespace pyhost::worker
