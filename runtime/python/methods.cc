// methods.cc: this folder as Python sees it.
#include <python/methods.h>

#include <new>

#include <python/errors.h>
#include <python/json.h>
#include <python/marshal.h>
#include <python/pickling.h>
#include <python/registry.h>
#include <python/text.h>
#include <python/values.h>

namespace pyhost::python {
namespace {

// A buffer that Python lent to a call.
class Lent {
 public:
  Lent() = default;
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  ~Lent() {
    if (view.obj != nullptr) PyBuffer_Release(&view);
  }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len)};
  }
  Py_buffer view = {};
};

PyObject* bytes_of(std::string_view text) {
  return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

// Runs a method body; no C++ exception enters the interpreter.
template <typename Body>
PyObject* guarded(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyObject* json_loads(PyObject*, PyObject* args) {
  Lent text;  // "s*": a str as its UTF-8, or anything with bytes
  JsonLimits limits;
  int allow_nan = 0;
  if (PyArg_ParseTuple(args, "s*|p:json_loads", &text.view, &allow_nan) == 0) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) return nullptr;
    return raise_marshal_from_pending("invalid JSON: a lone surrogate is not text");
  }
  limits.allow_nan = allow_nan != 0;
  const auto bytes = text.bytes();
  return json_decode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, limits).release();
}

PyObject* json_dumps(PyObject*, PyObject* args) {
  PyObject* value = nullptr;
  JsonLimits limits;
  int allow_nan = 0;
  if (PyArg_ParseTuple(args, "O|p:json_dumps", &value, &allow_nan) == 0) return nullptr;
  limits.allow_nan = allow_nan != 0;
  return guarded([&]() -> PyObject* {
    std::string text;
    return json_encode(value, text, limits) ? bytes_of(text) : nullptr;
  });
}

PyObject* encode_item(PyObject*, PyObject* args) {
  PyObject* value = nullptr;
  PyObject* dumps = Py_None;
  if (PyArg_ParseTuple(args, "O|O:encode_item", &value, &dumps) == 0) return nullptr;
  return guarded([&]() -> PyObject* {
    Encoded encoded;
    if (!encoded.encode_item(wire::Codec::pickle, value, dumps == Py_None ? nullptr : dumps)) {
      return nullptr;
    }
    std::string item;
    encoded.append_to(item);
    return bytes_of(item);
  });
}

PyObject* decode_item(PyObject*, PyObject* args) {
  PyObject* item = nullptr;
  int share = 0;
  if (PyArg_ParseTuple(args, "S|p:decode_item", &item, &share) == 0) return nullptr;
  const std::span<const char> bytes(PyBytes_AS_STRING(item),
                                    static_cast<std::size_t>(PyBytes_GET_SIZE(item)));
  return guarded([&]() -> PyObject* {
    Arguments arguments;
    if (!decode_arguments(wire::Codec::pickle, wire::Style::value, std::as_bytes(bytes),
                          {.owner = share != 0 ? item : nullptr}, arguments)) {
      return nullptr;
    }
    return PyRef::borrow(PyTuple_GET_ITEM(arguments.args.get(), 0)).release();
  });
}

PyObject* error_payload(PyObject*, PyObject* args) {
  PyObject* exception = nullptr;
  int with_pickle = 0;
  if (PyArg_ParseTuple(args, "O!|p:error_payload", PyExc_BaseException, &exception, &with_pickle) ==
      0) {
    return nullptr;
  }
  return guarded([&] {
    set_exception(PyRef::borrow(exception));
    return bytes_of(take_error_payload(with_pickle != 0));
  });
}

PyObject* register_one(PyObject*, PyObject* function) {
  return guarded([&] { return PyLong_FromUnsignedLongLong(register_function(function)); });
}

PyObject* names_of_pickle(PyObject*, PyObject* args) {
  Lent pickle;
  const char* module = nullptr;
  if (PyArg_ParseTuple(args, "y*s:names_in_pickle", &pickle.view, &module) == 0) return nullptr;
  return guarded([&]() -> PyObject* {
    const std::span<const std::byte> bytes = pickle.bytes();
    const auto names =
        names_in_pickle({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, module);
    if (!names) Py_RETURN_NONE;
    PyRef list = PyRef::steal(PyList_New(0));
    for (const std::string_view name : *names) {
      const PyRef text = PyRef::steal(
          PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "surrogatepass"));
      if (!list || !text || PyList_Append(list.get(), text.get()) != 0) return nullptr;
    }
    return list.release();
  });
}

PyObject* closest(PyObject*, PyObject* args) {
  PyObject* wanted = nullptr;
  PyObject* names = nullptr;
  if (PyArg_ParseTuple(args, "UO:closest_name", &wanted, &names) == 0) return nullptr;
  return guarded([&] {
    const std::string name = closest_name(utf8_of(wanted), names);
    return PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "replace");
  });
}

}  // namespace

PyMethodDef* methods() {
  static PyMethodDef table[] = {
      {"json_loads", json_loads, METH_VARARGS,
       "json_loads(text, allow_nan=False)\n--\n\nThe value of one JSON text, str or bytes."},
      {"json_dumps", json_dumps, METH_VARARGS,
       "json_dumps(value, allow_nan=False)\n--\n\nThe value as JSON text, in UTF-8 bytes."},
      {"encode_item", encode_item, METH_VARARGS,
       "encode_item(value, dumps=None)\n--\n\nThe value as a pickle item of a call."},
      {"decode_item", decode_item, METH_VARARGS,
       "decode_item(item, share=False)\n--\n\nThe value of a pickle item of a call."},
      {"names_in_pickle", names_of_pickle, METH_VARARGS,
       "names_in_pickle(pickle, module)\n--\n\nWhat of the module it refers to, or None."},
      {"error_payload", error_payload, METH_VARARGS,
       "error_payload(exception, with_pickle=False)\n--\n\nAn exception as it crosses the wire."},
      {"register_function", register_one, METH_O,
       "register_function(function)\n--\n\nIts number in workers forked from here on."},
      {"closest_name", closest, METH_VARARGS,
       "closest_name(wanted, names)\n--\n\nThe name that was meant, or an empty string."},
      {nullptr, nullptr, 0, nullptr},
  };
  return table;
}

}  // namespace pyhost::python
