// packed.h: calls and results that are plain numbers, without a pickle or a JSON text each.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include <python/ref.h>
#include <wire/layout.h>

namespace pyhost::python {

// Whether the items of such a batch are numbers without frames.
inline bool is_numbers(wire::Codec codec) {
  return codec >= wire::Codec::i64;
}

// All of this needs the GIL.

// Item `index` of a batch of numbers, as an int or a float. Null with an exception set: no memory,
// or a broken batch.
PyRef number_at(wire::Codec codec, std::span<const std::byte> payload, std::uint32_t index);

// The codec in which this value needs no frame: `i64` for an int that fits, `f64` for a float, else
// `none`. Subclasses (bool, numpy scalars) stay what they are, so they are `none`.
wire::Codec packs_as(PyObject* value);

// Writes a value for which `packs_as` is not `none`; 8 bytes.
void pack(PyObject* value, std::byte* to);

}  // namespace pyhost::python
