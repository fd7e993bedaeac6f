#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/item.h>
#include <driver/plain.h>
#include <python/pickling.h>
#include <python/values.h>

#include <cstdint>

namespace pyhost::driver {

using python::PyRef;

bool encode_framed(PyObject* value, PyObject* dumps, std::string& payload) {
  python::Encoded encoded;
  if (!encoded.encode_item(wire::Codec::pickle, value, is_plain(value) ? nullptr : dumps)) {
    return false;
  }
  const std::uint64_t bytes = encoded.bytes();
  payload.reserve(payload.size() + sizeof bytes + bytes);
  payload.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  encoded.append_to(payload);
  return true;
}

bool read_definition(std::string_view codec, PyObject* definition, wire::Codec& kind,
                     std::string& bytes) {
  if (codec == "none") {
    const std::uint64_t number = PyLong_AsUnsignedLongLong(definition);
    if (PyErr_Occurred() != nullptr) return false;
    kind = wire::Codec::none;
    bytes.assign(reinterpret_cast<const char*>(&number), sizeof number);
    return true;
  }
  kind = wire::Codec::pickle;
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(definition, &data, &size) != 0) return false;
  bytes.assign(data, static_cast<std::size_t>(size));
  return true;
}

bool encode_call(PyObject* args, PyObject* kwargs, PyObject* context, PyObject* dumps,
                 pool::Batch& batch) {
  PyRef both;
  PyObject* value = args;
  batch.codec = wire::Codec::pickle;
  batch.style = wire::Style::args;
  if (context != nullptr) {
    both = PyRef::steal(PyTuple_Pack(3, args, kwargs, context));
    if (!both) return false;
    value = both.get();
    batch.style = wire::Style::within;
  } else if (kwargs != Py_None && PyDict_GET_SIZE(kwargs) != 0) {
    both = PyRef::steal(PyTuple_Pack(2, args, kwargs));
    if (!both) return false;
    value = both.get();
    batch.style = wire::Style::call;
  }
  return encode_framed(value, dumps, batch.payload);
}

bool encode_vector(PyObject* const* args, Py_ssize_t count, PyObject* names, PyObject* context,
                   PyObject* dumps, pool::Batch& batch) {
  if (count == 1 && context == nullptr && names == nullptr &&
      python::append_scalar_item(args[0], batch.payload)) {
    batch.codec = wire::Codec::pickle;
    batch.style = wire::Style::value;
    return true;
  }
  PyRef tuple;
  PyRef dict;
  if (!gather(args, count, names, tuple, dict)) return false;
  return encode_call(tuple.get(), dict ? dict.get() : Py_None, context, dumps, batch);
}

bool gather(PyObject* const* args, Py_ssize_t count, PyObject* names, PyRef& tuple, PyRef& dict) {
  tuple = PyRef::steal(PyTuple_New(count));
  if (!tuple) return false;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, PyRef::borrow(args[i]).release());
  }
  const Py_ssize_t named = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
  if (named == 0) return true;
  dict = PyRef::steal(PyDict_New());
  for (Py_ssize_t i = 0; dict && i < named; ++i) {
    if (PyDict_SetItem(dict.get(), PyTuple_GET_ITEM(names, i), args[count + i]) != 0) return false;
  }
  return static_cast<bool>(dict);
}

}  // namespace pyhost::driver
