// marshal.cc: the class MarshalError, and raising it.
#include <python/marshal.h>

#include <python/errors.h>

namespace pyhost::python {

PyObject* marshal_error() {
  // Kept for the life of the process: a class outlives every exception of it.
  static PyObject* type = nullptr;
  if (type == nullptr) {
    type = PyErr_NewExceptionWithDoc(
        "pyhost.MarshalError",
        "A value cannot cross between processes; the message names "
        "its place and what to do.\n\n"
        "    >>> error = pyhost.submit(len, [threading.Lock()]).exception()\n"
        "    >>> print(str(error).partition(': ')[0])\n"
        "    cannot send `lock` at $[0][0]",
        PyExc_ValueError, nullptr);
  }
  return type != nullptr ? type : PyExc_ValueError;
}

bool marshal_error_pending() {
  return PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(marshal_error()) != 0;
}

PyObject* raise_marshal(std::string_view message) {
  PyRef text = PyRef::steal(PyUnicode_DecodeUTF8(
      message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
  if (text) PyErr_SetObject(marshal_error(), text.get());
  return nullptr;
}

PyObject* raise_marshal_from_pending(std::string_view message) {
  if (marshal_error_pending() || PyErr_ExceptionMatches(PyExc_MemoryError) != 0 ||
      PyErr_ExceptionMatches(PyExc_Exception) == 0) {
    return nullptr;
  }
  PyRef reason = take_exception();
  raise_marshal(message);
  PyRef error = take_exception();
  if (error) {
    PyException_SetContext(error.get(), PyRef::borrow(reason.get()).release());
    PyException_SetCause(error.get(), reason.release());
  }
  set_exception(std::move(error));
  return nullptr;
}

#if PY_VERSION_HEX >= 0x030C0000
PyRef take_exception() {
  return PyRef::steal(PyErr_GetRaisedException());
}

void set_exception(PyRef exception) {
  PyErr_SetRaisedException(exception.release());
}
#else
PyRef take_exception() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return PyRef::steal(value);
}

void set_exception(PyRef exception) {
  PyObject* value = exception.release();
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
  Py_INCREF(type);
  PyErr_Restore(type, value, PyException_GetTraceback(value));
}
#endif

}  // namespace pyhost::python
