// text.cc: Python strings as UTF-8, and quoting.
#include <python/text.h>

#include <python/marshal.h>
#include <python/ref.h>

namespace pyhost::python {

std::string utf8_of(PyObject* text, std::size_t limit) {
  if (!PyUnicode_Check(text)) return "?";
  const ExceptionAside aside;
  // Only a prefix is encoded, because a message may be as large as memory.
  PyRef shown = PyRef::borrow(text);
  const auto length = static_cast<std::size_t>(PyUnicode_GetLength(text));
  const bool longer = length > limit;
  if (longer) {
    shown = PyRef::steal(PyUnicode_Substring(text, 0, static_cast<Py_ssize_t>(limit)));
  }
  PyRef bytes;
  if (shown) {
    bytes = PyRef::steal(PyUnicode_AsEncodedString(shown.get(), "utf-8", "backslashreplace"));
  }
  if (!bytes) return "?";
  std::string result(PyBytes_AS_STRING(bytes.get()),
                     static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get())));
  if (longer) result.append(length - limit, '.');  // so that `cut` counts what is missing
  cut(result, limit);
  return result;
}

void cut(std::string& text, std::size_t limit) {
  if (text.size() <= limit) return;
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  const std::size_t missing = text.size() - end;
  text.resize(end);
  text += "... (" + std::to_string(missing) + " more bytes)";
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!is_special(byte)) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte >= 0x20) {
      out += '\\';
      out += c;
    } else {
      out += "\\u00";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    }
  }
  out += '"';
}

std::string type_name(PyTypeObject* type) {
  const ExceptionAside aside;
  auto* object = reinterpret_cast<PyObject*>(type);
  PyRef module = PyRef::steal(PyObject_GetAttrString(object, "__module__"));
  PyRef name = PyRef::steal(PyObject_GetAttrString(object, "__qualname__"));
  if (!name || !PyUnicode_Check(name.get())) return type->tp_name;
  std::string result = utf8_of(name.get(), 200);
  if (!module || !PyUnicode_Check(module.get())) return result;
  std::string prefix = utf8_of(module.get(), 200);
  return prefix == "builtins" ? result : prefix + "." + result;
}

}  // namespace pyhost::python
