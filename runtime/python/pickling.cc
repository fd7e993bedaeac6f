// pickling.cc: the stdlib's C pickler, the package's for what that refuses, and their errors.
#include <python/pickling.h>

#include <cstdint>

#include <python/errors.h>
#include <python/json.h>
#include <python/marshal.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

// Smaller buffers travel inside the pickle. An item with a buffer outside is sent alone, which
// costs more than copying this much; doubled, copies of 32 KiB would show beside a call.
constexpr Py_ssize_t kInBandBytes = Py_ssize_t{16} * 1024;

// What is needed of the `pickle` module, kept for the life of the process.
struct Functions {
  PyObject* dumps = nullptr;
  PyObject* loads = nullptr;
  PyObject* protocol = nullptr;       // 5
  PyObject* callback_name = nullptr;  // ("buffer_callback",)
  PyObject* buffers_name = nullptr;   // ("buffers",)
  bool ready() const { return buffers_name != nullptr; }
};

const Functions* functions() {
  static Functions kept;
  if (kept.ready()) return &kept;
  PyRef module = PyRef::steal(PyImport_ImportModule("pickle"));
  if (!module) return nullptr;
  PyRef dumps = PyRef::steal(PyObject_GetAttrString(module.get(), "dumps"));
  PyRef loads = PyRef::steal(PyObject_GetAttrString(module.get(), "loads"));
  PyRef protocol = PyRef::steal(PyLong_FromLong(5));
  PyRef callback_name = PyRef::steal(Py_BuildValue("(s)", "buffer_callback"));
  PyRef buffers_name = PyRef::steal(Py_BuildValue("(s)", "buffers"));
  if (!dumps || !loads || !protocol || !callback_name || !buffers_name) return nullptr;
  kept = {dumps.release(), loads.release(), protocol.release(), callback_name.release(),
          buffers_name.release()};
  return &kept;
}

// The pickler's question for each PickleBuffer: true keeps it in the pickle. `self` is the list.
PyObject* take_buffer(PyObject* self, PyObject* buffer) {
  const Py_buffer* view = PyPickleBuffer_GetBuffer(buffer);
  if (view == nullptr) return nullptr;
  if (view->len <= kInBandBytes) return PyRef::borrow(Py_True).release();
  if (PyList_Append(self, buffer) != 0) return nullptr;
  return PyRef::borrow(Py_False).release();
}

PyRef make_callback(PyObject* buffers) {
  static PyMethodDef definition = {"take_buffer", take_buffer, METH_O, nullptr};
  if (buffers == nullptr) return PyRef::borrow(Py_None);
  return PyRef::steal(PyCFunction_New(&definition, buffers));
}

PyRef checked_bytes(PyRef pickle) {
  if (pickle && !PyBytes_Check(pickle.get())) {
    raise_marshal("the pickler returned `" + type_name(Py_TYPE(pickle.get())) +
                  "`; it must return bytes");
    return {};
  }
  return pickle;
}

PyRef call_dumps(PyObject* dumps, PyObject* object, PyObject* buffers) {
  PyRef callback = make_callback(buffers);
  if (!callback) return {};
  return checked_bytes(
      PyRef::steal(PyObject_CallFunctionObjArgs(dumps, object, callback.get(), nullptr)));
}

PyRef standard_dumps(PyObject* object, PyObject* buffers) {
  const Functions* pickle = functions();
  if (pickle == nullptr) return {};
  PyRef callback = make_callback(buffers);
  if (!callback) return {};
  PyObject* const arguments[] = {object, pickle->protocol, callback.get()};
  return PyRef::steal(PyObject_Vectorcall(pickle->dumps, arguments, 2, pickle->callback_name));
}

// The type and text of the pending exception, which stays pending.
std::string pending_reason() {
  PyRef error = take_exception();
  if (!error) return "unknown reason";
  std::string reason = type_name(Py_TYPE(error.get()));
  PyRef text = PyRef::steal(PyObject_Str(error.get()));
  if (text && PyUnicode_GetLength(text.get()) > 0) reason += ": " + utf8_of(text.get(), 1000);
  PyErr_Clear();
  set_exception(std::move(error));
  return reason;
}

PyRef refuse(PyObject* object) {
  raise_marshal_from_pending("cannot send `" + type_name(Py_TYPE(object)) +
                             "`: " + pending_reason());
  return {};
}

// By value, with the package's pickler. Where the package is not there, the pending exception
// stays: it says what is wrong with the object.
PyRef package_dumps(PyObject* object, PyObject* buffers) {
  PyRef original = take_exception();
  PyRef module = PyRef::steal(PyImport_ImportModule("pyhost._pickling"));
  PyRef dumps;
  if (module) dumps = PyRef::steal(PyObject_GetAttrString(module.get(), "dumps"));
  if (!dumps) {
    PyErr_Clear();
    set_exception(std::move(original));
    return {};
  }
  if (buffers != nullptr && PyList_SetSlice(buffers, 0, PyList_GET_SIZE(buffers), nullptr) != 0) {
    return {};
  }
  return call_dumps(dumps.get(), object, buffers);
}

bool may_work_by_value() {
  return PyErr_ExceptionMatches(PyExc_Exception) != 0 &&
         PyErr_ExceptionMatches(PyExc_MemoryError) == 0 && !marshal_error_pending();
}

}  // namespace

PyRef pickle_dumps(PyObject* object, PyObject* buffers, PyObject* dumps) {
  PyRef pickle = scalar_dumps(object);
  if (pickle || PyErr_Occurred() != nullptr) return pickle;
  if (dumps != nullptr) {
    pickle = call_dumps(dumps, object, buffers);
  } else {
    pickle = standard_dumps(object, buffers);
    if (!pickle && may_work_by_value()) pickle = package_dumps(object, buffers);
  }
  return pickle ? std::move(pickle) : refuse(object);
}

PyRef pickle_loads(std::span<const std::byte> bytes, PyObject* buffers) {
  PyRef object = scalar_loads(bytes);
  if (object || PyErr_Occurred() != nullptr) return object;
  const Functions* pickle = functions();
  if (pickle == nullptr) return {};
  auto* data = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
  PyRef view = PyRef::steal(
      PyMemoryView_FromMemory(data, static_cast<Py_ssize_t>(bytes.size()), PyBUF_READ));
  if (!view) return {};
  const CollectorPause pause;
  PyObject* const arguments[] = {view.get(), buffers};
  object =
      buffers == nullptr
          ? PyRef::steal(PyObject_Vectorcall(pickle->loads, arguments, 1, nullptr))
          : PyRef::steal(PyObject_Vectorcall(pickle->loads, arguments, 1, pickle->buffers_name));
  if (!object && PyErr_ExceptionMatches(PyExc_Exception) != 0) {
    raise_marshal_from_pending("cannot rebuild a value that was sent: " + pending_reason());
  }
  return object;
}

}  // namespace pyhost::python
