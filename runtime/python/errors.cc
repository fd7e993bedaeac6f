// errors.cc: what crosses the wire when a function raised.
#include <python/errors.h>

#include <cstdint>

#include <python/describe.h>
#include <python/marshal.h>
#include <python/pickling.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

void append_number(std::string& out, std::uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_field(std::string& out, const char* name, std::string_view text) {
  out += '"';
  out += name;
  out += "\":";
  append_quoted(out, text);
  out += ',';
}

void append_json(std::string& out, const Error& error) {
  out += '{';
  append_field(out, "type", error.type);
  append_field(out, "message", error.message);
  append_field(out, "traceback", error.traceback);
  out += "\"frames\":[";
  for (const Frame& frame : error.frames) {
    if (out.back() != '[') out += ',';
    out += '{';
    append_field(out, "file", frame.file);
    out += "\"line\":" + std::to_string(frame.line) + ',';
    append_field(out, "function", frame.function);
    out += "\"text\":";
    append_quoted(out, frame.text);
    out += '}';
  }
  out += ']';
  if (error.cause) {
    out += ",\"cause\":";
    append_json(out, *error.cause);
  }
  out += '}';
}

// For `retry_on`: the names of the exception's classes, nearest first, `object` left out.
void append_bases(std::string& json, PyObject* exception) {
  PyObject* order = Py_TYPE(exception)->tp_mro;
  if (order == nullptr || !PyTuple_Check(order)) return;
  std::string names;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(order); ++i) {
    PyObject* type = PyTuple_GET_ITEM(order, i);
    if (!PyType_Check(type) || type == reinterpret_cast<PyObject*>(&PyBaseObject_Type)) continue;
    if (!names.empty()) names += ',';
    append_quoted(names, type_name(reinterpret_cast<PyTypeObject*>(type)));
  }
  json.pop_back();  // the brace that ends the object
  json += ",\"bases\":[" + names + "]}";
}

// A context names files, whose names may be any bytes.
std::string as_utf8(std::string_view text) {
  const ExceptionAside aside;
  const PyRef decoded = PyRef::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
  return decoded ? utf8_of(decoded.get()) : "?";
}

Error take_described(std::string_view context) {
  const PyRef exception = take_exception();
  if (!exception) return Error(Code::python_error, as_utf8(context));
  Error error = describe(exception.get());
  if (!context.empty()) error.message = as_utf8(context) + ": " + error.message;
  return error;
}

// The pickle of `object`, or nothing when it does not load as an object of that class; then `why`
// says more, if it does not do so already.
PyRef pickle_of(PyObject* object, PyTypeObject* expected, std::string& why) {
  PyRef pickle = pickle_dumps(object, nullptr, nullptr);
  if (pickle) {
    const char* data = PyBytes_AS_STRING(pickle.get());
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(pickle.get()));
    const PyRef again = pickle_loads(std::as_bytes(std::span<const char>(data, size)), nullptr);
    if (!again || Py_TYPE(again.get()) != expected) pickle = PyRef();
  }
  if (!pickle && why.empty()) {
    const PyRef raised = take_exception();
    if (raised) {
      const Error error = describe(raised.get());
      why = error.type == "pyhost.MarshalError" ? error.message : error.type + ": " + error.message;
    }
  }
  PyErr_Clear();
  return pickle;
}

// The exception as a pickle item, or "" when it would not arrive as what it is. Only loading it
// tells: an `__init__` that takes other arguments than `args` fails there. Such an exception is
// sent as its class, `args` and `__dict__`, to be put together without `__init__`. `why`: it was
// not possible.
std::string pickled(PyObject* exception, std::string& why) {
  std::string item;
  PyRef pickle = pickle_of(exception, Py_TYPE(exception), why);
  if (!pickle) {
    const PyRef package = PyRef::steal(PyImport_ImportModule("pyhost._remote"));
    const PyRef parts =
        package ? PyRef::steal(PyObject_CallMethod(package.get(), "Parts", "O", exception))
                : PyRef();
    if (parts) pickle = pickle_of(parts.get(), Py_TYPE(exception), why);
    PyErr_Clear();
  }
  if (pickle) {
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(pickle.get()));
    append_number(item, 0);  // no buffers, reserved
    append_number(item, size);
    item.append(PyBytes_AS_STRING(pickle.get()), size);
  }
  return item;
}

// What the call had printed, if that was asked for: `pyhost._capturing` leaves it with the
// exception.
void append_captured(std::string& json, PyObject* exception) {
  PyObject* attributes = reinterpret_cast<PyBaseExceptionObject*>(exception)->dict;
  if (attributes == nullptr) return;
  constexpr const char* kName = "__pyhost_stdout__";
  const PyRef text = PyRef::borrow(PyDict_GetItemString(attributes, kName));
  if (!text) return;
  PyDict_DelItemString(attributes, kName);
  if (!PyUnicode_Check(text.get())) return;
  json.back() = ',';  // the brace that ends the object
  append_field(json, "stdout", utf8_of(text.get()));
  json.back() = '}';
}

}  // namespace

std::string take_error_payload(bool with_pickle) {
  const PyRef exception = take_exception();
  std::string json;
  append_json(json, exception ? describe(exception.get())
                              : Error(Code::python_error, "no exception was pending"));
  if (exception) append_bases(json, exception.get());
  if (exception) append_captured(json, exception.get());
  std::string unsent;
  const std::string item = with_pickle && exception ? pickled(exception.get(), unsent) : "";
  if (item.empty() && !unsent.empty()) {
    json.back() = ',';  // the brace that ends the object
    append_field(json, "unsent", unsent);
    json.back() = '}';
  }
  std::string payload;
  append_number(payload, json.size());
  return payload + json + item;
}

std::string take_error_json(std::string_view context) {
  std::string json;
  append_json(json, take_described(context));
  return json;
}

Error take_python_error(Code code, std::string_view context) {
  Error error = take_described(context);
  error.code = code;
  return error;
}

}  // namespace pyhost::python
