// collector.cc: CollectorPause.
#include <python/json.h>

#include <python/marshal.h>

namespace pyhost::python {

#if PY_VERSION_HEX >= 0x030A0000
CollectorPause::CollectorPause() : was_enabled_(PyGC_Disable() != 0) {}

CollectorPause::~CollectorPause() {
  if (was_enabled_) PyGC_Enable();
}
#else
namespace {

// The functions of `gc`, kept for the life of the process: CPython 3.9 has no C function for them.
struct Collector {
  PyObject* disable = nullptr;
  PyObject* enable = nullptr;
  PyObject* is_enabled = nullptr;
};

const Collector& collector() {
  static const Collector found = [] {
    const ExceptionAside aside;
    PyRef module = PyRef::steal(PyImport_ImportModule("gc"));
    Collector made;
    if (module) {
      made.disable = PyObject_GetAttrString(module.get(), "disable");
      made.enable = PyObject_GetAttrString(module.get(), "enable");
      made.is_enabled = PyObject_GetAttrString(module.get(), "isenabled");
    }
    return made;
  }();
  return found;
}

bool call(PyObject* function) {
  if (function == nullptr) return false;
  const ExceptionAside aside;  // a scope may end with what a decoder raised
  PyRef answer = PyRef::steal(PyObject_CallObject(function, nullptr));
  return answer.get() == Py_True;
}

}  // namespace

CollectorPause::CollectorPause() : was_enabled_(call(collector().is_enabled)) {
  if (was_enabled_) call(collector().disable);
}

CollectorPause::~CollectorPause() {
  if (was_enabled_) call(collector().enable);
}
#endif

}  // namespace pyhost::python
