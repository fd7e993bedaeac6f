#include <Python.h>
#include <driver/map_input.h>
#include <driver/outcome.h>
#include <python/packed.h>
#include <python/values.h>

#include <algorithm>
#include <cstring>
#include <string_view>
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

// Batches of numbers shorter than this, because the next item was of another kind, are not worth
// it.
constexpr std::uint32_t kFewNumbers = 16;

// An int attribute of a range. False, without an exception, when it needs more than 64 bits.
bool read_int(PyObject* range, const char* name, std::int64_t& out) {
  const python::PyRef value = python::PyRef::steal(PyObject_GetAttrString(range, name));
  int overflow = 0;
  if (value) out = PyLong_AsLongLongAndOverflow(value.get(), &overflow);
  const bool ok = value && overflow == 0 && PyErr_Occurred() == nullptr;
  PyErr_Clear();
  return ok;
}

// A look at the numbers of an array, which must not be resized meanwhile.
class Numbers {
 public:
  explicit Numbers(PyObject* array) {
    held_ = PyObject_GetBuffer(array, &view_, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) == 0;
    PyErr_Clear();
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  ~Numbers() {
    if (held_) PyBuffer_Release(&view_);
  }

  // `none`: its items are not ints or floats of 8 bytes.
  wire::Codec codec() const {
    if (!held_ || view_.ndim != 1 || view_.itemsize != 8 || view_.format == nullptr) {
      return wire::Codec::none;
    }
    const std::string_view format(view_.format);
    if (format == "d") return wire::Codec::f64;
    return format == "q" || format == "l" ? wire::Codec::i64 : wire::Codec::none;
  }
  std::string_view bytes() const {
    return {static_cast<const char*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
  bool held_ = false;
};

}  // namespace

MapInput::MapInput(python::PyRef items, bool numbers, python::PyRef dumps)
    : items_(std::move(items)), dumps_(std::move(dumps)), numbers_(numbers) {
  if (!PyRange_Check(items_.get())) {
    if (PyIter_Check(items_.get())) return;
    const Numbers view(items_.get());
    if (numbers && view.codec() != wire::Codec::none) {
      array_ = std::move(items_);
      items_ = {};
      return;
    }
    items_ = python::PyRef::steal(PyObject_GetIter(items_.get()));
    if (!items_) fail();
    return;
  }
  const Py_ssize_t length = PyObject_Length(items_.get());
  PyErr_Clear();
  std::int64_t stop = 0;
  const bool fits = read_int(items_.get(), "start", range_next_) &&
                    read_int(items_.get(), "stop", stop) &&
                    read_int(items_.get(), "step", range_step_);
  if (numbers && length >= 0 && fits) {
    range_left_ = static_cast<std::uint64_t>(length);
    items_ = {};
    return;
  }
  items_ = python::PyRef::steal(PyObject_GetIter(items_.get()));
  if (!items_) fail();
}

// The next item. Nothing: the input has ended, for whatever reason.
python::PyRef MapInput::pull() {
  if (held_value_) return std::move(held_value_);
  if (!items_) return {};
  python::PyRef value = python::PyRef::steal(PyIter_Next(items_.get()));
  if (value) return value;
  if (PyErr_Occurred() != nullptr) fail();
  items_ = {};
  return {};
}

// Appends the item, framed, to `item`; by how many bytes. 0: it ended the input, or is refused.
std::size_t MapInput::encode(PyObject* value, std::string& item, bool& has_buffers) {
  python::Encoded encoded;
  if (!encoded.encode_item(wire::Codec::pickle, value, dumps_.get())) {
    if (goes_on_) {
      refusal_ = take_exception();
      return 0;
    }
    fail();
    items_ = {};
    return 0;
  }
  append_length(item, encoded.bytes());
  encoded.append_to(item);
  has_buffers = encoded.has_buffers();
  return sizeof(std::uint64_t) + encoded.bytes();
}

void MapInput::fail() {
  failure_ = take_exception();
}

bool MapInput::collect() {
  if (!items_) return true;
  constexpr Py_ssize_t kItemsPerLook = 1024;  // at signals, which an iterator in C does not do
  const python::PyRef list = python::PyRef::steal(PyList_New(0));
  if (!list) return false;
  while (const python::PyRef value = python::PyRef::steal(PyIter_Next(items_.get()))) {
    if (PyList_Append(list.get(), value.get()) != 0) return false;
    if (PyList_GET_SIZE(list.get()) % kItemsPerLook == 0 && PyErr_CheckSignals() != 0) return false;
  }
  if (PyErr_Occurred() != nullptr) fail();
  items_ = python::PyRef::steal(PyObject_GetIter(list.get()));
  return static_cast<bool>(items_);
}

void MapInput::cut() {
  fail();
  items_ = {};
  held_.clear();
  held_value_ = {};
  range_left_ = 0;
  array_ = {};
}

void MapInput::fill(pool::Batch& batch, std::uint32_t most) {
  batch.count = 0;
  if (!held_.empty()) {
    batch.payload = std::exchange(held_, {});
    batch.count = 1;
    return;
  }
  if (range_left_ != 0) return fill_range(batch, most);
  if (array_) return fill_array(batch, most);
  python::PyRef first = pull();
  if (!first) return;
  const wire::Codec codec = numbers_ ? python::packs_as(first.get()) : wire::Codec::none;
  if (codec == wire::Codec::none) return fill_framed(batch, std::move(first), most);
  batch.codec = codec;
  fill_numbers(batch, std::move(first), most);
}

void MapInput::fill_range(pool::Batch& batch, std::uint32_t most) {
  batch.codec = wire::Codec::range;
  batch.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, range_left_));
  const std::int64_t start_and_step[] = {range_next_, range_step_};
  batch.payload.assign(reinterpret_cast<const char*>(start_and_step), sizeof start_and_step);
  range_left_ -= batch.count;
  if (range_left_ != 0) range_next_ += range_step_ * std::int64_t{batch.count};
}

void MapInput::fill_array(pool::Batch& batch, std::uint32_t most) {
  const python::PyRef array = python::PyRef::borrow(array_.get());  // outlives the view
  const Numbers view(array.get());
  const std::string_view bytes = view.bytes();
  const std::size_t length = view.codec() == wire::Codec::none ? 0 : bytes.size() / 8;
  if (array_next_ < length) {
    batch.codec = view.codec();
    batch.count = static_cast<std::uint32_t>(
        std::min<std::size_t>({most, length - array_next_, kBatchBytes / 8}));
    batch.payload = bytes.substr(array_next_ * 8, std::size_t{batch.count} * 8);
    array_next_ += batch.count;
  }
  if (array_next_ >= length) array_ = {};
}

void MapInput::fill_numbers(pool::Batch& batch, python::PyRef first, std::uint32_t most) {
  batch.payload.reserve(std::min<std::size_t>(most, kBatchBytes / 8) * 8);
  for (python::PyRef value = std::move(first); value;) {
    std::byte packed[8];
    python::pack(value.get(), packed);
    batch.payload.append(reinterpret_cast<const char*>(packed), sizeof packed);
    if (++batch.count == most || batch.payload.size() >= kBatchBytes) return;
    if (enough_ && enough_()) return;
    value = pull();
    if (value && python::packs_as(value.get()) != batch.codec) {
      if (batch.count < kFewNumbers) numbers_ = false;
      held_value_ = std::move(value);
      return;
    }
  }
}

void MapInput::fill_framed(pool::Batch& batch, python::PyRef first, std::uint32_t most) {
  for (python::PyRef value = std::move(first); value; value = pull()) {
    bool has_buffers = false;
    const std::size_t bytes = encode(value.get(), batch.payload, has_buffers);
    if (bytes == 0) return;
    if (has_buffers && batch.count > 0) {
      const std::size_t before = batch.payload.size() - bytes;
      held_ = batch.payload.substr(before);
      batch.payload.resize(before);
      return;
    }
    ++batch.count;
    if (has_buffers || batch.count == most || batch.payload.size() >= kBatchBytes) return;
    if (enough_ && enough_()) return;
  }
}

int MapInput::traverse(visitproc visit, void* arg) const {
  Py_VISIT(items_.get());
  Py_VISIT(dumps_.get());
  Py_VISIT(failure_.get());
  Py_VISIT(refusal_.get());
  Py_VISIT(held_value_.get());
  Py_VISIT(array_.get());
  return 0;
}

void MapInput::clear() {
  items_ = {};
  dumps_ = {};
  failure_ = {};
  refusal_ = {};
  held_value_ = {};
  held_.clear();
  range_left_ = 0;
  array_ = {};
}

}  // namespace pyhost::driver
