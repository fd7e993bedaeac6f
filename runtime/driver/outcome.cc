#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/outcome.h>
#include <python/json.h>
#include <python/values.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

constexpr const char* kBytesName = "pyhost.payload";

// Keeps the bytes of a payload alive for the buffers that point into them.
PyRef make_owner(std::unique_ptr<std::string> payload) {
  PyRef owner = PyRef::steal(PyCapsule_New(payload.get(), kBytesName, [](PyObject* capsule) {
    delete static_cast<std::string*>(PyCapsule_GetPointer(capsule, kBytesName));
  }));
  if (owner) static_cast<void>(payload.release());
  return owner;
}

// A pickle item starts with the number of its out-of-band buffers.
bool has_buffers(std::string_view item) {
  std::uint32_t buffers = 0;
  if (item.size() < sizeof buffers) return false;
  std::memcpy(&buffers, item.data(), sizeof buffers);
  return buffers != 0;
}

PyRef decode_value(pool::Outcome& outcome) {
  if (outcome.codec != wire::Codec::pickle || !has_buffers(outcome.payload)) {
    return python::decode_result(outcome.codec, std::as_bytes(std::span(outcome.payload)), nullptr);
  }
  auto payload = std::make_unique<std::string>(std::move(outcome.payload));
  const auto bytes = std::as_bytes(std::span(*payload));  // stays where it is: on the heap
  const PyRef owner = make_owner(std::move(payload));
  if (!owner) return {};
  return python::decode_result(outcome.codec, bytes, owner.get());
}

PyRef errors_function(const char* name) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost.errors"));
  return module ? PyRef::steal(PyObject_GetAttrString(module.get(), name)) : PyRef();
}

// ErrorPayload (host/wire/layout.md) to an exception.
PyRef rebuild(const std::string& payload) {
  std::uint64_t json_bytes = 0;
  if (payload.size() >= sizeof json_bytes) {
    std::memcpy(&json_bytes, payload.data(), sizeof json_bytes);
  }
  if (json_bytes == 0 || json_bytes > payload.size() - sizeof json_bytes) {
    return exception_of(Error(Code::protocol, "a worker sent a failure that cannot be read"));
  }
  const std::string_view text(payload.data() + sizeof json_bytes, json_bytes);
  const std::string_view item(text.data() + text.size(),
                              payload.size() - sizeof json_bytes - text.size());
  const PyRef description = python::json_decode(text);
  if (!description) return {};
  PyRef exception;
  if (!item.empty()) {
    exception = python::decode_result(wire::Codec::pickle, std::as_bytes(std::span(item)), nullptr);
    if (!exception) PyErr_Clear();  // its class is not importable here: described instead
  }
  const PyRef function = errors_function("rebuild");
  if (!function) return {};
  return PyRef::steal(PyObject_CallFunctionObjArgs(function.get(), description.get(),
                                                   exception ? exception.get() : Py_None, nullptr));
}

}  // namespace

PyRef take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyRef::steal(PyErr_GetRaisedException());
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return PyRef::steal(value);
#endif
}

void raise(PyObject* exception) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
}

void raise_futures_error(const char* name) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("concurrent.futures"));
  if (!module) return;
  const PyRef type = PyRef::steal(PyObject_GetAttrString(module.get(), name));
  if (type) PyErr_SetNone(type.get());
}

PyRef exception_of(const Error& error) {
  const PyRef function = errors_function("from_failure");
  PyRef exception;
  if (function) {
    const std::string_view kind = kind_name(error.code);
    exception = PyRef::steal(PyObject_CallFunction(
        function.get(), "s#s#iiis#s#", kind.data(), static_cast<Py_ssize_t>(kind.size()),
        error.message.data(), static_cast<Py_ssize_t>(error.message.size()), error.worker,
        error.signal, error.exit_code, error.stderr_tail.data(),
        static_cast<Py_ssize_t>(error.stderr_tail.size()), error.traceback.data(),
        static_cast<Py_ssize_t>(error.traceback.size())));
  }
  return exception ? std::move(exception) : take_exception();
}

Decoded decode(pool::Outcome outcome) {
  Decoded decoded;
  if (outcome.ok) {
    decoded.value = decode_value(outcome);
    if (!decoded.value) decoded.exception = take_exception();
    return decoded;
  }
  decoded.cancelled = outcome.failure != nullptr && outcome.failure->code == Code::cancelled;
  decoded.exception = outcome.raised    ? rebuild(outcome.payload)
                      : outcome.failure ? exception_of(*outcome.failure)
                                        : exception_of(outcome.error());
  if (!decoded.exception) decoded.exception = take_exception();
  return decoded;
}

}  // namespace pyhost::driver
