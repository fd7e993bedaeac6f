// values.h: items and results, in either codec, to and from Python objects.
//
// All functions need the GIL; false or nothing means that a Python exception is set. Formats:
// host/wire/layout.md.
#pragma once

#include <Python.h>

#include <cstddef>
#include <optional>
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
};

// `owner`: keeps the bytes alive as long as an out-of-band buffer of the item is in use (it is
// referenced from the buffers' exporter); when empty such buffers are copied.
bool decode_arguments(wire::Codec codec, wire::Style style, std::span<const std::byte> item,
                      PyObject* owner, Arguments& out);

// An encoded value: the concatenation of `parts()`. Out-of-band buffers are not copied; they are
// held until this is dropped (with the GIL).
class Encoded {
 public:
  Encoded() = default;
  Encoded(Encoded&&) noexcept;
  Encoded& operator=(Encoded&&) noexcept;
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  ~Encoded();

  bool encode(wire::Codec codec, PyObject* value);  // replaces what was there
  std::span<const std::span<const std::byte>> parts() const;
  std::size_t bytes() const;
  bool has_buffers() const;
  void append_to(std::string& out) const;

 private:
  void clear();
  std::string text_;                  // JSON, or the head of a pickle item
  PyRef pickle_;                      // bytes object
  std::vector<Py_buffer> buffers_;
  std::vector<std::span<const std::byte>> parts_;
};

// The value of a result. `owner` as above.
PyRef decode_result(wire::Codec codec, std::span<const std::byte> payload, PyObject* owner);

// A definition of codec pickle: the callable.
PyRef decode_function(std::span<const std::byte> definition);

// pickle.dumps / loads as used above: `dumps` first tries the C pickler of the stdlib and, for what
// that refuses or cannot name, the package's `pyhost._pickling.dumps` (by value with cloudpickle).

}  // namespace pyhost::python
