#include <Python.h>
#include <driver/map_input.h>
#include <driver/outcome.h>
#include <python/values.h>

#include <cstring>
#include <utility>

namespace pyhost::driver {
namespace {

// A batch grows up to this: more would delay its first item, and hold memory for nothing.
constexpr std::size_t kBatchBytes = 1 << 20;

void append_length(std::string& out, std::uint64_t bytes) {
  char framed[sizeof bytes];
  std::memcpy(framed, &bytes, sizeof bytes);
  out.append(framed, sizeof framed);
}

}  // namespace

// Appends the next item, framed, to `item`. False: the input has ended, for whatever reason.
bool MapInput::pull(std::string& item, bool& has_buffers) {
  const python::PyRef value = python::PyRef::steal(PyIter_Next(items_.get()));
  if (!value) {
    if (PyErr_Occurred() != nullptr) fail();
    items_ = {};
    return false;
  }
  python::Encoded encoded;
  if (!encoded.encode_item(wire::Codec::pickle, value.get(), dumps_.get())) {
    fail();
    items_ = {};
    return false;
  }
  append_length(item, encoded.bytes());
  encoded.append_to(item);
  has_buffers = encoded.has_buffers();
  return true;
}

void MapInput::fail() {
  failure_ = take_exception();
}

void MapInput::cut() {
  fail();
  items_ = {};
  held_.clear();
}

void MapInput::fill(pool::Batch& batch, std::uint32_t most) {
  batch.count = 0;
  if (!held_.empty()) {
    batch.payload = std::exchange(held_, {});
    batch.count = 1;
    return;
  }
  while (items_ && batch.count < most && batch.payload.size() < kBatchBytes) {
    const std::size_t before = batch.payload.size();
    bool has_buffers = false;
    if (!pull(batch.payload, has_buffers)) return;
    if (has_buffers && batch.count > 0) {
      held_ = batch.payload.substr(before);
      batch.payload.resize(before);
      return;
    }
    ++batch.count;
    if (has_buffers) return;
  }
}

int MapInput::traverse(visitproc visit, void* arg) const {
  Py_VISIT(items_.get());
  Py_VISIT(dumps_.get());
  Py_VISIT(failure_.get());
  return 0;
}

void MapInput::clear() {
  items_ = {};
  dumps_ = {};
  failure_ = {};
  held_.clear();
}

}  // namespace pyhost::driver
