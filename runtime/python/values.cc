// values.cc: the payload formats of layout.md around the codecs.
#include <python/values.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>

#include <python/exporter.h>
#include <python/json.h>
#include <python/marshal.h>
#include <python/pickling.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

// Where a pickle item starts in its payload: at once in a result, behind its u64 length in a call.
constexpr std::size_t kResultStart = 0;
constexpr std::size_t kItemStart = 8;

constexpr std::size_t kHeadBytes = 16;  // u32 buffers, u32 reserved, u64 pickle_bytes

constexpr std::array<std::byte, wire::kBlockAlign> kZeros{};

std::size_t padding_at(std::size_t offset) {
  return (wire::kBlockAlign - offset % wire::kBlockAlign) % wire::kBlockAlign;
}

template <typename Number>
void append_number(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

PyRef broken_item(const std::string& problem) {
  raise_marshal("pickle item rejected: " + problem + "; report it, this is a fault of pyhost");
  return {};
}

// The parts of a pickle item, found without believing any length it states.
struct ItemParts {
  std::span<const std::byte> pickle;
  std::vector<std::span<const std::byte>> buffers;
};

bool split_item(std::span<const std::byte> item, std::size_t start, ItemParts& parts) {
  if (item.size() < kHeadBytes) {
    broken_item("it has " + std::to_string(item.size()) + " bytes, its head takes 16");
    return false;
  }
  const auto count = number_at<std::uint32_t>(item, 0);
  const auto pickle_bytes = number_at<std::uint64_t>(item, 8);
  if (count > (item.size() - kHeadBytes) / sizeof(std::uint64_t)) {
    broken_item(std::to_string(count) + " buffers do not fit " + std::to_string(item.size()) +
                " bytes");
    return false;
  }
  std::size_t at = kHeadBytes + count * sizeof(std::uint64_t);
  const auto take = [&](std::uint64_t size, std::span<const std::byte>& part) {
    if (at > item.size() || size > item.size() - at) {
      broken_item("a part of " + std::to_string(size) + " bytes at " + std::to_string(at) +
                  " exceeds its " + std::to_string(item.size()) + " bytes");
      return false;
    }
    part = item.subspan(at, size);
    at += size;
    return true;
  };
  if (!take(pickle_bytes, parts.pickle)) return false;
  parts.buffers.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    at += padding_at(start + at);
    const auto size = number_at<std::uint64_t>(item, kHeadBytes + i * sizeof(std::uint64_t));
    if (!take(size, parts.buffers[i])) return false;
  }
  return true;
}

PyRef make_buffer(std::span<const std::byte> bytes, const Buffers& wanted) {
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  const bool kept = bytes.size() <= wanted.copied;
  if (wanted.owner == nullptr && wanted.frozen && !kept) {
    return PyRef::steal(PyBytes_FromStringAndSize(data, size));
  }
  if (wanted.owner == nullptr || kept) {
    return PyRef::steal(PyByteArray_FromStringAndSize(data, size));
  }
  return export_bytes(bytes, wanted.owner, wanted.writable);
}

PyRef load_item(std::span<const std::byte> item, std::size_t start, const Buffers& wanted) {
  ItemParts parts;
  if (!split_item(item, start, parts)) return {};
  if (parts.buffers.empty()) return pickle_loads(parts.pickle, nullptr);
  PyRef buffers = PyRef::steal(PyList_New(0));
  if (!buffers) return {};
  for (const std::span<const std::byte> bytes : parts.buffers) {
    const PyRef buffer = make_buffer(bytes, wanted);
    if (!buffer || PyList_Append(buffers.get(), buffer.get()) != 0) return {};
  }
  return pickle_loads(parts.pickle, buffers.get());
}

bool wrong_shape(const char* style, const char* expected, PyObject* found) {
  raise_marshal(std::string("cannot call with `") + type_name(Py_TYPE(found)) + "`: style `" +
                style + "` takes " + expected);
  return false;
}

bool take_args(PyObject* value, const char* style, const char* expected, Arguments& out) {
  if (PyTuple_CheckExact(value)) {
    out.args = PyRef::borrow(value);
  } else if (PyList_Check(value) || PyTuple_Check(value)) {
    out.args = PyRef::steal(PySequence_Tuple(value));
  } else {
    return wrong_shape(style, expected, value);
  }
  return static_cast<bool>(out.args);
}

bool take_kwargs(PyObject* value, const char* style, const char* expected, Arguments& out) {
  if (!PyDict_Check(value)) return wrong_shape(style, expected, value);
  if (PyDict_GET_SIZE(value) != 0) out.kwargs = PyRef::borrow(value);
  return true;
}

constexpr const char* kCallShape = "an array of an array and an object, [args, kwargs]";

// What the package's driver makes: (args, kwargs or None, context or None).
bool take_within(PyObject* value, Arguments& out) {
  constexpr const char* kShape = "(args, kwargs, context)";
  if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 3) {
    return wrong_shape("within", kShape, value);
  }
  PyObject* kwargs = PyTuple_GET_ITEM(value, 1);
  PyObject* context = PyTuple_GET_ITEM(value, 2);
  if (context != Py_None) out.context = PyRef::borrow(context);
  return take_args(PyTuple_GET_ITEM(value, 0), "within", kShape, out) &&
         (kwargs == Py_None || take_kwargs(kwargs, "within", kShape, out));
}

bool arguments_of(wire::Style style, PyRef value, Arguments& out) {
  switch (style) {
    case wire::Style::value:
      out.args = PyRef::steal(PyTuple_Pack(1, value.get()));
      return static_cast<bool>(out.args);
    case wire::Style::args:
      return take_args(value.get(), "args", "an array of positional arguments", out);
    case wire::Style::kwargs:
      out.args = PyRef::steal(PyTuple_New(0));
      return out.args && take_kwargs(value.get(), "kwargs", "an object of keyword arguments", out);
    case wire::Style::within:
      return take_within(value.get(), out);
    case wire::Style::call:
      break;
  }
  PyRef pair = PyList_Check(value.get()) || PyTuple_Check(value.get())
                   ? PyRef::steal(PySequence_Tuple(value.get()))
                   : PyRef();
  if (!pair && PyErr_Occurred() != nullptr) return false;
  if (!pair || PyTuple_GET_SIZE(pair.get()) != 2)
    return wrong_shape("call", kCallShape, value.get());
  PyObject* kwargs = PyTuple_GET_ITEM(pair.get(), 1);
  return take_args(PyTuple_GET_ITEM(pair.get(), 0), "call", kCallShape, out) &&
         (kwargs == Py_None || take_kwargs(kwargs, "call", kCallShape, out));
}

PyRef decode(wire::Codec codec, std::span<const std::byte> bytes, std::size_t start,
             const Buffers& buffers) {
  try {
    if (codec == wire::Codec::json) return json_decode(as_text(bytes));
    if (codec == wire::Codec::pickle) return load_item(bytes, start, buffers);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return {};
  }
  raise_marshal("unknown codec " + std::to_string(static_cast<int>(codec)));
  return {};
}

}  // namespace

bool decode_arguments(wire::Codec codec, wire::Style style, std::span<const std::byte> item,
                      const Buffers& buffers, Arguments& out) {
  out = Arguments();
  PyRef value = decode(codec, item, kItemStart, buffers);
  return value && arguments_of(style, std::move(value), out);
}

PyRef decode_result(wire::Codec codec, std::span<const std::byte> payload, const Buffers& buffers) {
  return decode(codec, payload, kResultStart, buffers);
}

PyRef decode_function(std::span<const std::byte> definition) {
  PyRef function = pickle_loads(definition, nullptr);
  if (function && PyCallable_Check(function.get()) == 0) {
    raise_marshal("cannot call `" + type_name(Py_TYPE(function.get())) +
                  "`: a function was expected");
    return {};
  }
  return function;
}

Encoded::Encoded(Encoded&& other) noexcept {
  *this = std::move(other);
}

Encoded& Encoded::operator=(Encoded&& other) noexcept {
  if (this == &other) return *this;
  clear();
  std::swap(text_, other.text_);
  std::swap(pickle_, other.pickle_);
  buffers_.swap(other.buffers_);
  parts_.swap(other.parts_);
  // A short text lives inside its string object, which has moved.
  if (!parts_.empty()) parts_.front() = std::as_bytes(std::span<const char>(text_));
  return *this;
}

Encoded::~Encoded() {
  clear();
}

void Encoded::clear() {
  parts_.clear();
  for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
  buffers_.clear();
  pickle_ = PyRef();
  text_.clear();
}

bool Encoded::encode_result(wire::Codec codec, PyObject* value, PyObject* dumps) {
  return encode(codec, value, dumps, kResultStart);
}

bool Encoded::encode_item(wire::Codec codec, PyObject* value, PyObject* dumps) {
  return encode(codec, value, dumps, kItemStart);
}

bool Encoded::encode(wire::Codec codec, PyObject* value, PyObject* dumps, std::size_t start) {
  clear();
  bool done = false;
  try {
    if (codec == wire::Codec::json) {
      done = json_encode(value, text_);
      if (done) parts_.push_back(std::as_bytes(std::span<const char>(text_)));
    } else if (codec == wire::Codec::pickle) {
      done = encode_pickle(value, dumps, start);
    } else {
      raise_marshal("unknown codec " + std::to_string(static_cast<int>(codec)));
    }
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  if (!done) clear();
  return done;
}

bool Encoded::encode_pickle(PyObject* value, PyObject* dumps, std::size_t start) {
  PyRef list = PyRef::steal(PyList_New(0));
  if (!list) return false;
  pickle_ = pickle_dumps(value, list.get(), dumps);
  if (!pickle_) return false;
  const auto count = static_cast<std::size_t>(PyList_GET_SIZE(list.get()));
  buffers_.reserve(count);  // a view must stay where its exporter filled it in
  for (std::size_t i = 0; i < count; ++i) {
    PyObject* buffer = PyList_GET_ITEM(list.get(), static_cast<Py_ssize_t>(i));
    if (PyObject_GetBuffer(buffer, &buffers_.emplace_back(), PyBUF_FULL_RO) != 0) {
      buffers_.pop_back();
      return false;
    }
  }
  const auto pickle_bytes = static_cast<std::size_t>(PyBytes_GET_SIZE(pickle_.get()));
  append_number(text_, static_cast<std::uint32_t>(count));
  append_number(text_, std::uint32_t{0});
  append_number(text_, std::uint64_t{pickle_bytes});
  for (const Py_buffer& view : buffers_) append_number(text_, static_cast<std::uint64_t>(view.len));
  const auto add = [this](const void* bytes, std::size_t size) {
    parts_.emplace_back(static_cast<const std::byte*>(bytes), size);
  };
  add(text_.data(), text_.size());
  add(PyBytes_AS_STRING(pickle_.get()), pickle_bytes);
  std::size_t at = start + text_.size() + pickle_bytes;
  for (const Py_buffer& view : buffers_) {
    const std::size_t padding = padding_at(at);
    if (padding != 0) add(kZeros.data(), padding);
    add(view.buf, static_cast<std::size_t>(view.len));
    at += padding + static_cast<std::size_t>(view.len);
  }
  return true;
}

std::span<const std::span<const std::byte>> Encoded::parts() const {
  return parts_;
}

std::size_t Encoded::bytes() const {
  std::size_t sum = 0;
  for (const auto part : parts_) sum += part.size();
  return sum;
}

bool Encoded::has_buffers() const {
  return !buffers_.empty();
}

void Encoded::append_to(std::string& out) const {
  out.reserve(out.size() + bytes());
  for (const auto part : parts_) {
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
}

}  // namespace pyhost::python
