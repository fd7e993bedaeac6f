// json.h: JSON text to Python objects and back, in one pass each, without Python's `json` module.
//
// All functions need the GIL. On failure they return false or nothing with a Python exception set:
// `MarshalError` (see errors.h) whose message names the path of the value and what to do.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include <python/ref.h>

namespace pyhost::python {

struct JsonLimits {
  int depth = 512;  // nested arrays and objects; deeper could overflow the C stack
  bool allow_nan = false;
};

// One JSON text. Integers of any size are ints, 1.0 is a float, duplicate keys: the last wins,
// as in Python's json. The collector is suspended meanwhile.
PyRef json_decode(std::string_view text, const JsonLimits& limits = {});

// Appends the JSON text of `object`, without newlines. Tuples become arrays; keys that are int,
// float, bool or None follow Python's json; numpy scalars and arrays become numbers and lists;
// anything else is an error. On failure `out` is as before.
bool json_encode(PyObject* object, std::string& out, const JsonLimits& limits = {});

// Suspends the cyclic collector for a scope and restores what it found. Building many containers
// triggers it again and again, for half of the time of decoding a large value.
class CollectorPause {
 public:
  CollectorPause();
  CollectorPause(const CollectorPause&) = delete;
  CollectorPause& operator=(const CollectorPause&) = delete;
  ~CollectorPause();

 private:
  bool was_enabled_ = false;
};

}  // namespace pyhost::python
