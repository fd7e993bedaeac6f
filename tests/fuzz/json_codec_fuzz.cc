// json_codec_fuzz.cc: JSON text to Python objects and back, compared with Python's own json.
//
// What the codec takes must be what Python's json makes of it, and must come back the same after
// it was encoded. What it does not take must be a MarshalError, or a text that is no JSON.
#include <Python.h>

#include <python/errors.h>
#include <python/json.h>

#include <string>

#include "input.h"

namespace {

using pyhost::python::json_decode;
using pyhost::python::json_encode;
using pyhost::python::JsonLimits;
using pyhost::python::PyRef;

// json.loads of the interpreter; the reference for what a text means.
PyObject* reference = nullptr;

bool same(PyObject* one, PyObject* other) {
  // Their repr, because 1 == 1.0 == True and nan != nan.
  const PyRef left = PyRef::steal(PyObject_Repr(one));
  const PyRef right = PyRef::steal(PyObject_Repr(other));
  PYHOST_MUST(left && right);
  return PyUnicode_Compare(left.get(), right.get()) == 0;
}

void check_accepted(PyObject* value, std::string_view text, const JsonLimits& limits) {
  const PyRef copy = PyRef::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
  PYHOST_MUST(copy);
  const PyRef theirs = PyRef::steal(PyObject_CallOneArg(reference, copy.get()));
  PYHOST_MUST(theirs);
  PYHOST_MUST(same(value, theirs.get()));

  std::string encoded;
  PYHOST_MUST(json_encode(value, encoded, limits));
  PYHOST_MUST(encoded.find('\n') == std::string::npos);
  const PyRef again = json_decode(encoded, limits);
  PYHOST_MUST(again && same(value, again.get()));
  std::string twice;
  PYHOST_MUST(json_encode(again.get(), twice, limits));
  PYHOST_MUST(encoded == twice);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  const PyStatus status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  PYHOST_MUST(!PyStatus_Exception(status));
  // The codec has no such limit. Absent before 3.10.7, like the limit.
  PYHOST_MUST(PyRun_SimpleString("import sys\n"
                                 "getattr(sys, 'set_int_max_str_digits', id)(0)\n") == 0);
  const PyRef json = PyRef::steal(PyImport_ImportModule("json"));
  PYHOST_MUST(json);
  reference = PyObject_GetAttrString(json.get(), "loads");
  PYHOST_MUST(reference);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pyhost::fuzz::Input input(data, size);
  const JsonLimits limits{.allow_nan = (input.take<std::uint8_t>() & 1) != 0};
  const PyRef value = json_decode(input.rest(), limits);
  if (value) {
    PYHOST_MUST(PyErr_Occurred() == nullptr);
    check_accepted(value.get(), input.rest(), limits);
  } else {
    PYHOST_MUST(pyhost::python::marshal_error_pending());
    PyErr_Clear();
  }
  return 0;
}
