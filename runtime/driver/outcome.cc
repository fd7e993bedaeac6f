#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/outcome.h>
#include <driver/records.h>
#include <python/describe.h>
#include <python/json.h>
#include <python/values.h>
#include <unistd.h>

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

PyRef decode_value(pool::Outcome& outcome, bool own_arrays) {
  if (outcome.codec != wire::Codec::pickle || !has_buffers(outcome.payload)) {
    return python::decode_result(outcome.codec, std::as_bytes(std::span(outcome.payload)), {});
  }
  auto payload = std::make_unique<std::string>(std::move(outcome.payload));
  const std::string& kept = *payload;  // stays where it is: on the heap
  const PyRef owner = make_owner(std::move(payload));
  if (!owner) return {};
  // Nobody else has these bytes, so that to make them writable takes no copy.
  PyRef value = python::decode_result(outcome.codec, std::as_bytes(std::span(kept)),
                                      {.owner = owner.get(), .writable = own_arrays});
  // A copy, as frames of the exception may refer to buffers that point into the bytes.
  if (!value && interrupted()) outcome.payload = kept;
  return value;
}

PyRef errors_function(const char* name) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost.errors"));
  return module ? PyRef::steal(PyObject_GetAttrString(module.get(), name)) : PyRef();
}

// What a worker wrote may be any bytes.
PyRef text_of(std::string_view text) {
  return PyRef::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

// The arguments of pyhost.errors.HostFailure.
PyRef details_of(const Error& error) {
  PyRef texts[] = {text_of(error.message), text_of(take_records(error.stderr_tail, false)),
                   text_of(error.stack), text_of(error.likely_cause), text_of(error.call)};
  for (const PyRef& text : texts) {
    if (!text) return {};
  }
  return PyRef::steal(Py_BuildValue(
      "{s:O,s:i,s:i,s:i,s:O,s:O,s:O,s:O,s:d,s:K,s:i}", "message", texts[0].get(), "worker",
      error.worker, "signal", error.signal, "exit_code", error.exit_code, "stderr_tail",
      texts[1].get(), "stack", texts[2].get(), "likely_cause", texts[3].get(), "call",
      texts[4].get(), "seconds", error.seconds, "peak_memory",
      static_cast<unsigned long long>(error.peak_memory), "attempts", error.attempts));
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
    exception = python::decode_result(wire::Codec::pickle, std::as_bytes(std::span(item)), {});
    if (!exception && interrupted()) return {};
    if (!exception) PyErr_Clear();  // its class is not importable here: described instead
  }
  const PyRef function = errors_function("rebuild");
  if (!function) return {};
  return PyRef::steal(PyObject_CallFunctionObjArgs(function.get(), description.get(),
                                                   exception ? exception.get() : Py_None, nullptr));
}

// A result may also exit by itself while it is rebuilt. Requires: a SystemExit is pending.
bool exits_in_handler() {
  const PyRef exit = take_exception();
  const PyRef trace = PyRef::steal(PyException_GetTraceback(exit.get()));
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost._handlers"));
  PyRef found;
  if (module) {
    found = PyRef::steal(
        PyObject_CallMethod(module.get(), "is_from_handler", "O", trace ? trace.get() : Py_None));
  }
  if (!found) return true;  // another signal came
  raise(exit.get());
  return found.get() == Py_True;
}

}  // namespace

// Python runs signal handlers in the main thread only: what another thread gets was raised by the
// result itself, and would be each time.
bool interrupted() {
  if (PyErr_ExceptionMatches(PyExc_Exception) != 0 || gettid() != getpid()) return false;
  return PyErr_ExceptionMatches(PyExc_SystemExit) == 0 || exits_in_handler();
}

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
  const PyRef details = function ? details_of(error) : PyRef();
  const PyRef kind = details ? text_of(kind_name(error.code)) : PyRef();
  const PyRef traceback = kind ? text_of(error.traceback) : PyRef();
  PyRef exception;
  if (traceback) {
    exception = PyRef::steal(PyObject_CallFunctionObjArgs(function.get(), kind.get(),
                                                          traceback.get(), details.get(), nullptr));
  }
  return exception || interrupted() ? std::move(exception) : take_exception();
}

Error broken_by(PyObject* exception) {
  Error error = python::describe(exception);
  error.message = "the result of a call could not be rebuilt: " + error.type +
                  (error.message.empty() ? "" : ": " + error.message);
  error.type.clear();
  error.code = Code::worker_crashed;
  return error;
}

// What a call logged is handled before its outcome is known.
Decoded decode(pool::Outcome& outcome, bool own_arrays) {
  Decoded decoded;
  await_records();
  if (outcome.ok) {
    decoded.value = decode_value(outcome, own_arrays);
  } else {
    decoded.cancelled = outcome.failure != nullptr && outcome.failure->code == Code::cancelled;
    decoded.exception = outcome.raised    ? rebuild(outcome.payload)
                        : outcome.failure ? exception_of(*outcome.failure)
                                          : exception_of(outcome.error());
  }
  if (!decoded && !interrupted()) decoded.exception = take_exception();
  return decoded;
}

}  // namespace pyhost::driver
