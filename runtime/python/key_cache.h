// key_cache.h: the keys of JSON objects as Python strings, made once and used many times.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>
#include <string_view>

#include <python/ref.h>

namespace pyhost::python {

// A direct-mapped table: a key takes the place of the one before it, so a text of ever new keys
// costs no memory beyond the table. One per process.
//
// Threads: with the GIL.
class KeyCache {
 public:
  // Longer keys rarely repeat; 64 bytes bound what a full table can hold to some 100 KiB.
  static constexpr std::size_t kLongestKey = 64;

  static KeyCache& instance();

  // The str for `key`, which is ASCII and at most kLongestKey long; null with an exception set.
  PyRef find_or_make(std::string_view key);

 private:
  // Halved, records of a few hundred different keys start to collide; doubled, it leaves the L1
  // cache.
  static constexpr std::size_t kSlots = 1024;
  std::array<PyObject*, kSlots> slots_{};  // owned for the life of the process
};

// A str of ASCII bytes.
inline PyRef ascii_string(std::string_view text) {
  // CPython shares the strings of one character.
  if (text.size() == 1) return PyRef::steal(PyUnicode_FromOrdinal(text[0]));
  PyRef made = PyRef::steal(PyUnicode_New(static_cast<Py_ssize_t>(text.size()), 127));
  if (made && !text.empty()) {
    std::char_traits<char>::copy(reinterpret_cast<char*>(PyUnicode_1BYTE_DATA(made.get())),
                                 text.data(), text.size());
  }
  return made;
}

}  // namespace pyhost::python
