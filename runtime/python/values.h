// values.h: items and results, in either codec, to and from Python objects.
//
// All functions need the GIL; false or nothing means that a Python exception is set. Formats:
// host/wire/layout.md.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <python/ref.h>
#include <wire/layout.h>

namespace pyhost::python {

// Arguments of one call. `kwargs` may be empty.
struct Arguments {
  PyRef args;  // a tuple
  PyRef kwargs;
  PyRef context;  // style `within`: bytes of `pyhost._context`; else empty
};

// How the out-of-band buffers of an item become buffers of Python.
struct Buffers {
  // Keeps the bytes alive: views of them refer to it. Null: every buffer is copied. A copy is
  // writable where the original was.
  PyObject* owner = nullptr;
  std::uint64_t copied = 0;  // buffers up to so many bytes are copied nevertheless
  bool writable = false;     // views are too: the bytes are nobody else's. False: read-only
  bool frozen = false;       // what is copied for want of an owner is read-only, as a view would be
};

bool decode_arguments(wire::Codec codec, wire::Style style, std::span<const std::byte> item,
                      const Buffers& buffers, Arguments& out);

// An encoded value: the concatenation of `parts()`. Out-of-band buffers are not copied; they are
// held until this is dropped (with the GIL).
//
// `dumps(object, buffer_callback) -> bytes` pickles instead of the default described below.
class Encoded {
 public:
  Encoded() = default;
  Encoded(Encoded&&) noexcept;
  Encoded& operator=(Encoded&&) noexcept;
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  ~Encoded();

  // Both replace what was there. They differ in where the bytes start in their payload, from which
  // out-of-band buffers are aligned: a result starts it, an item of a call follows its length.
  bool encode_result(wire::Codec codec, PyObject* value, PyObject* dumps = nullptr);
  bool encode_item(wire::Codec codec, PyObject* value, PyObject* dumps = nullptr);
  std::span<const std::span<const std::byte>> parts() const;
  std::size_t bytes() const;
  bool has_buffers() const;
  void append_to(std::string& out) const;

 private:
  bool encode(wire::Codec codec, PyObject* value, PyObject* dumps, std::size_t start);
  bool encode_pickle(PyObject* value, PyObject* dumps, std::size_t start);
  void clear();
  std::string text_;  // JSON, or the head of a pickle item
  PyRef pickle_;      // bytes object
  std::vector<Py_buffer> buffers_;
  std::vector<std::span<const std::byte>> parts_;
};

// The value of a result.
PyRef decode_result(wire::Codec codec, std::span<const std::byte> payload, const Buffers& buffers);

// A definition of codec pickle: the callable.
PyRef decode_function(std::span<const std::byte> definition);

// How objects are pickled: first with the C pickler of the stdlib and, for what that refuses or
// cannot name, with the package's `pyhost._pickling.dumps` (by value with cloudpickle).

}  // namespace pyhost::python
