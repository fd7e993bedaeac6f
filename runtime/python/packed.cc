#include <python/packed.h>

#include <cstring>

namespace pyhost::python {
namespace {

template <class Number>
Number load(const std::byte* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}

}  // namespace

PyRef number_at(wire::Codec codec, std::span<const std::byte> payload, std::uint32_t index) {
  const bool is_range = codec == wire::Codec::range;
  const std::size_t needed = is_range ? 16 : (std::size_t{index} + 1) * 8;
  if (payload.size() < needed) {
    PyErr_SetString(PyExc_RuntimeError, "the host sent a broken batch; report this");
    return {};
  }
  if (is_range) {
    const auto start = load<std::int64_t>(payload.data());
    const auto step = load<std::int64_t>(payload.data() + 8);
    return PyRef::steal(PyLong_FromLongLong(start + step * std::int64_t{index}));
  }
  const std::byte* place = payload.data() + std::size_t{index} * 8;
  return PyRef::steal(codec == wire::Codec::i64 ? PyLong_FromLongLong(load<std::int64_t>(place))
                                                : PyFloat_FromDouble(load<double>(place)));
}

wire::Codec packs_as(PyObject* value) {
  if (PyFloat_CheckExact(value)) return wire::Codec::f64;
  if (!PyLong_CheckExact(value)) return wire::Codec::none;
  int overflow = 0;
  PyLong_AsLongLongAndOverflow(value, &overflow);
  return overflow == 0 ? wire::Codec::i64 : wire::Codec::none;
}

void pack(PyObject* value, std::byte* to) {
  if (PyFloat_CheckExact(value)) {
    const double number = PyFloat_AS_DOUBLE(value);
    std::memcpy(to, &number, sizeof number);
    return;
  }
  const std::int64_t number = PyLong_AsLongLong(value);
  std::memcpy(to, &number, sizeof number);
}

}  // namespace pyhost::python
