#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/limits.h>
#include <driver/slot.h>
#include <python/ref.h>

#include <algorithm>
#include <new>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct Limits {
  PyObject_HEAD std::shared_ptr<const CallOptions> options;
};

PyTypeObject* the_type = nullptr;

Limits* limits(PyObject* self) {
  return reinterpret_cast<Limits*>(self);
}

bool read_options(PyObject* args, PyObject* kwargs, CallOptions& options) {
  static const char* names[] = {"timeout", "cpu", "retries", "retry_on", "grace", nullptr};
  PyObject *timeout = Py_None, *cpu = Py_None, *retries = Py_None, *retry_on = Py_None,
           *grace = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOO:Limits", const_cast<char**>(names),
                                   &timeout, &cpu, &retries, &retry_on, &grace)) {
    return false;
  }
  if (retries != Py_None) {
    const long count = PyLong_AsLong(retries);
    if (count == -1 && PyErr_Occurred() != nullptr) return false;
    options.retries = static_cast<int>(std::clamp(count, 0L, 1'000'000'000L));
  }
  return read_duration(timeout, options.timeout) && read_duration(cpu, options.cpu) &&
         read_duration(grace, options.grace) &&
         (retry_on == Py_None || read_strings(retry_on, options.retry_on));
}

PyObject* new_limits(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  CallOptions options;
  if (!read_options(args, kwargs, options)) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  new (&limits(self)->options)
      std::shared_ptr<const CallOptions>(std::make_shared<CallOptions>(std::move(options)));
  return self;
}

void dealloc(PyObject* self) {
  std::destroy_at(&limits(self)->options);
  free_object(self);
}

}  // namespace

bool add_limits_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, slot(new_limits)}, {Py_tp_dealloc, slot(dealloc)}, {0, nullptr}};
  the_type =
      add_type(module, {"_pyhost_core.Limits", sizeof(Limits), 0, Py_TPFLAGS_DEFAULT, slots});
  return the_type != nullptr;
}

bool read_limits(PyObject* object, std::shared_ptr<const CallOptions>& out) {
  out.reset();
  if (object == Py_None) return true;
  if (Py_TYPE(object) != the_type) {
    PyErr_SetString(PyExc_TypeError, "expected Limits or None");
    return false;
  }
  out = limits(object)->options;
  return true;
}

bool read_duration(PyObject* object, std::optional<base::Duration>& out) {
  if (object == Py_None) return true;
  const double seconds = PyFloat_AsDouble(object);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) return false;
  constexpr double kLongest = 3e8;  // about 9.5 years: the engine takes longer ones for none
  const std::chrono::duration<double> duration(seconds > 0 ? std::min(seconds, kLongest) : 0);
  out = std::chrono::duration_cast<base::Duration>(duration);
  return true;
}

bool read_strings(PyObject* sequence, std::vector<std::string>& out) {
  const PyRef fast = PyRef::steal(PySequence_Fast(sequence, "expected a sequence of str"));
  if (!fast) return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.get()); ++i) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(PySequence_Fast_GET_ITEM(fast.get(), i), &size);
    if (text == nullptr) return false;
    out.emplace_back(text, static_cast<std::size_t>(size));
  }
  return true;
}

}  // namespace pyhost::driver
