// wanted.cc: the keyword arguments of an Engine, which the package has checked.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <driver/item.h>
#include <driver/limits.h>
#include <driver/setup.h>
#include <python/ref.h>

#include <algorithm>
#include <climits>
#include <string_view>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

// The value of a setting, borrowed; null when it is absent or None.
PyObject* setting(PyObject* settings, const char* name) {
  PyObject* value = PyDict_GetItemString(settings, name);
  return value == Py_None ? nullptr : value;
}

template <class Number>
bool read_number(PyObject* settings, const char* name, Number& out) {
  PyObject* value = setting(settings, name);
  if (value == nullptr) return true;
  const long long number = PyLong_AsLongLong(value);
  if (number == -1 && PyErr_Occurred() != nullptr) return false;
  out = static_cast<Number>(
      std::clamp<long long>(number, 0, sizeof(Number) > 4 ? LLONG_MAX : INT_MAX));
  return true;
}

bool read_seconds(PyObject* settings, const char* name, std::optional<base::Duration>& out) {
  PyObject* value = setting(settings, name);
  return value == nullptr || read_duration(value, out);
}

// "task", "pool" or absent.
bool read_on_crash(PyObject* settings, OnCrash& out) {
  PyObject* value = setting(settings, "on_crash");
  if (value == nullptr) return true;
  const char* text = PyUnicode_AsUTF8(value);
  if (text == nullptr) return false;
  out = std::string_view(text) == "pool" ? OnCrash::pool : OnCrash::task;
  return true;
}

bool read_settings(PyObject* settings, Wanted& wanted) {
  return read_on_crash(settings, wanted.on_crash) &&
         read_number(settings, "min_workers", wanted.workers.min) &&
         read_number(settings, "workers", wanted.workers.max) &&
         read_number(settings, "memory", wanted.memory) &&
         read_number(settings, "concurrency", wanted.concurrency) &&
         read_number(settings, "threads_per_worker", wanted.threads) &&
         read_number(settings, "max_tasks_per_worker", wanted.max_tasks_per_worker) &&
         read_number(settings, "max_worker_memory", wanted.max_worker_memory) &&
         read_number(settings, "own_arrays", wanted.own_arrays) &&
         read_seconds(settings, "max_worker_age", wanted.max_worker_age) &&
         read_seconds(settings, "idle_time", wanted.idle_time);
}

// (codec, definition, name, args); the first two as `define` takes them.
bool read_initializer(PyObject* given, PyObject* dumps, Wanted& wanted) {
  if (given == Py_None) return true;
  const char *codec = nullptr, *name = nullptr;
  PyObject *definition = nullptr, *args = nullptr;
  if (!PyArg_ParseTuple(given, "sOsO!:initializer", &codec, &definition, &name, &PyTuple_Type,
                        &args)) {
    return false;
  }
  pool::Initializer initializer;
  if (!read_definition(codec, definition, initializer.definition_codec, initializer.definition)) {
    return false;
  }
  initializer.name = name;
  initializer.codec = wire::Codec::pickle;
  initializer.style = wire::Style::args;
  if (!encode_framed(args, dumps, initializer.payload)) return false;
  wanted.initializer = std::move(initializer);
  return true;
}

}  // namespace

bool read_wanted(PyObject* args, PyObject* kwargs, Wanted& wanted, PyObject** dumps) {
  static const char* names[] = {"start", "python",   "image",  "preload",     "sys_path",
                                "dumps", "settings", "limits", "initializer", nullptr};
  const char *start = nullptr, *python = nullptr, *image = nullptr;
  PyObject *preload = nullptr, *sys_path = nullptr, *settings = nullptr, *limits = nullptr,
           *initializer = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$sssOOOO!OO:Engine", const_cast<char**>(names),
                                   &start, &python, &image, &preload, &sys_path, dumps,
                                   &PyDict_Type, &settings, &limits, &initializer)) {
    return false;
  }
  wanted.start = start;
  wanted.python = python;
  wanted.image = image;
  return read_strings(preload, wanted.preload) && read_strings(sys_path, wanted.sys_path) &&
         read_settings(settings, wanted) && read_limits(limits, wanted.limits) &&
         read_initializer(initializer, *dumps, wanted);
}

}  // namespace pyhost::driver
