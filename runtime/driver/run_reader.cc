#include <driver/outcome.h>
#include <driver/run_reader.h>
#include <python/packed.h>
#include <python/values.h>
#include <wire/frames.h>

namespace pyhost::driver {

python::PyRef RunReader::next() {
  if (python::is_numbers(run_.codec)) {
    return python::number_at(run_.codec, std::as_bytes(std::span(run_.payload)), taken_++);
  }
  std::string_view rest = std::string_view(run_.payload).substr(offset_);
  const auto frame = wire::take_frame(rest);
  if (!frame) {
    ++taken_;
    PyErr_SetString(PyExc_RuntimeError, "a run of results is shorter than it said; report this");
    return {};
  }
  python::PyRef result = python::decode_result(run_.codec, std::as_bytes(std::span(*frame)), {});
  if (!result && interrupted()) return {};
  ++taken_;
  offset_ = run_.payload.size() - rest.size();
  return result;
}

}  // namespace pyhost::driver
