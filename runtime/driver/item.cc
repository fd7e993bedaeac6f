#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/item.h>
#include <driver/plain.h>
#include <python/values.h>

#include <cstdint>

namespace pyhost::driver {

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

}  // namespace pyhost::driver
