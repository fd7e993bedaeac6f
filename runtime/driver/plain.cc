#include <Python.h>
#include <driver/plain.h>

namespace pyhost::driver {
namespace {

// Objects looked at before giving up. Doubled: large values are walked longer for a saving that
// does not grow; halved: argument tuples of ordinary calls no longer fit.
constexpr int kLooks = 64;
constexpr int kDepth = 8;

bool look(PyObject* object, int depth, int& looks) {
  if (--looks < 0 || depth > kDepth) return false;
  if (object == Py_None || PyBool_Check(object) || PyLong_CheckExact(object) ||
      PyFloat_CheckExact(object) || PyUnicode_CheckExact(object) || PyBytes_CheckExact(object)) {
    return true;
  }
  if (PyTuple_CheckExact(object) || PyList_CheckExact(object)) {
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(object);
    if (size > looks) return false;
    for (Py_ssize_t i = 0; i < size; ++i) {
      if (!look(PySequence_Fast_GET_ITEM(object, i), depth + 1, looks)) return false;
    }
    return true;
  }
  if (!PyDict_CheckExact(object) || PyDict_Size(object) > looks) return false;
  PyObject *key = nullptr, *value = nullptr;
  Py_ssize_t position = 0;
  while (PyDict_Next(object, &position, &key, &value) != 0) {
    if (!look(key, depth + 1, looks) || !look(value, depth + 1, looks)) return false;
  }
  return true;
}

}  // namespace

bool is_plain(PyObject* object) {
  int looks = kLooks;
  return look(object, 0, looks);
}

}  // namespace pyhost::driver
