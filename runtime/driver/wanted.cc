// wanted.cc: the keyword arguments of an Engine, which the package has checked.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <base/fd.h>
#include <driver/item.h>
#include <driver/limits.h>
#include <driver/setup.h>
#include <fcntl.h>
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
         read_number(settings, "as_printed", wanted.as_printed) &&
         read_seconds(settings, "max_worker_age", wanted.max_worker_age) &&
         read_seconds(settings, "idle_time", wanted.idle_time);
}

bool read_list(PyObject* inherited, const char* name, std::vector<std::string>& out) {
  PyObject* value = setting(inherited, name);
  return value == nullptr || read_strings(value, out);
}

bool read_text(PyObject* inherited, const char* name, std::string& out) {
  PyObject* value = setting(inherited, name);
  if (value == nullptr) return true;
  const char* text = PyUnicode_AsUTF8(value);
  if (text != nullptr) out = text;
  return text != nullptr;
}

// Duplicates: the driver may close its own at any time, and zygotes may be started once more.
bool read_descriptors(PyObject* list, std::vector<base::HostFd>& out) {
  if (list == nullptr) return true;
  const PyRef fast = PyRef::steal(PySequence_Fast(list, "expected a sequence of descriptors"));
  if (!fast) return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.get()); ++i) {
    const int fd = PyObject_AsFileDescriptor(PySequence_Fast_GET_ITEM(fast.get(), i));
    if (fd < 0) return false;
    base::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) {
      PyErr_SetFromErrno(PyExc_OSError);
      return false;
    }
    out.emplace_back(std::move(copy));
  }
  return true;
}

// What `pyhost._inheritance` has gathered.
bool read_inherited(PyObject* inherited, Wanted& wanted) {
  return read_list(inherited, "sys_path", wanted.sys_path) &&
         read_list(inherited, "argv", wanted.argv) && read_list(inherited, "flags", wanted.flags) &&
         read_text(inherited, "folder", wanted.folder) &&
         read_text(inherited, "text", wanted.inheritance) &&
         read_number(inherited, "first_identity", wanted.first_identity) &&
         read_descriptors(setting(inherited, "descriptors"), wanted.inherited);
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
  static const char* names[] = {"start",    "python", "image",       "preload",   "dumps",
                                "settings", "limits", "initializer", "inherited", nullptr};
  const char *start = nullptr, *python = nullptr, *image = nullptr;
  PyObject *preload = nullptr, *settings = nullptr, *limits = nullptr, *initializer = nullptr,
           *inherited = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$sssOOO!OOO!:Engine", const_cast<char**>(names),
                                   &start, &python, &image, &preload, dumps, &PyDict_Type,
                                   &settings, &limits, &initializer, &PyDict_Type, &inherited)) {
    return false;
  }
  wanted.start = start;
  wanted.python = python;
  wanted.image = image;
  return read_strings(preload, wanted.preload) && read_inherited(inherited, wanted) &&
         read_settings(settings, wanted) && read_limits(limits, wanted.limits) &&
         read_initializer(initializer, *dumps, wanted);
}

}  // namespace pyhost::driver
