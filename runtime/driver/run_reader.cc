#include <driver/run_reader.h>
#include <python/packed.h>
#include <python/values.h>
#include <wire/frames.h>

namespace pyhost::driver {

python::PyRef RunReader::next() {
  const std::uint32_t index = taken_++;
  if (python::is_numbers(run_.codec)) {
    return python::number_at(run_.codec, std::as_bytes(std::span(run_.payload)), index);
  }
  std::string_view rest = std::string_view(run_.payload).substr(offset_);
  const auto frame = wire::take_frame(rest);
  offset_ = run_.payload.size() - rest.size();
  if (!frame) {
    PyErr_SetString(PyExc_RuntimeError, "a run of results is shorter than it said; report this");
    return {};
  }
  return python::decode_result(run_.codec, std::as_bytes(std::span(*frame)), {});
}

}  // namespace pyhost::driver
