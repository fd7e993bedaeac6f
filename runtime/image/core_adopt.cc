// core_adopt.cc: `pyhost run` re-routes process pools of other libraries when their module is
// imported.
//
// A finder in front of sys.meta_path, because only the first one sees every import. It looks at the
// name, and has Python code do the rest for the few names that matter: a script that makes no pools
// pays some tens of nanoseconds per import, and no import of ours.
#include <Python.h>
#include <pthread.h>
#include <signal.h>

#include <string>

#include <image/core_image.h>
#include <python/finder.h>
#include <python/json.h>
#include <python/ref.h>

namespace pyhost::image {
namespace {

using python::PyRef;

constexpr const char* kModules[] = {"concurrent.futures.process", "multiprocessing.pool",
                                    "joblib.parallel"};

bool concerned(PyObject* name) {
  if (!PyUnicode_Check(name)) return false;
  for (const char* module : kModules) {
    if (PyUnicode_CompareWithASCIIString(name, module) == 0) return true;
  }
  return false;
}

// Holds a Ctrl-C back for a scope, at whose end somebody is there who reports it.
class InterruptPause {
 public:
  InterruptPause() {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before_);
  }
  InterruptPause(const InterruptPause&) = delete;
  InterruptPause& operator=(const InterruptPause&) = delete;
  ~InterruptPause() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// find_spec. When `pyhost` is somebody else's module, everything stays as it is.
PyObject* find_spec(PyObject* /*self*/, PyObject* arguments, PyObject* keywords) {
  python::Sought sought;
  if (!python::read_sought(arguments, keywords, sought)) return nullptr;
  if (!concerned(sought.name)) Py_RETURN_NONE;
  const InterruptPause pause;
  const PyRef adopt = PyRef::steal(PyImport_ImportModule("pyhost._adopt"));
  if (!adopt) {
    if (!PyErr_ExceptionMatches(PyExc_ImportError)) return nullptr;
    PyErr_Clear();
    Py_RETURN_NONE;
  }
  return PyObject_CallMethod(adopt.get(), "find_spec", "OO", sought.name, sought.path);
}

PyMethodDef find_spec_definition = python::find_spec_method(find_spec);

// Whether a module is loaded already, through a .pth file or sitecustomize.
bool adopt_loaded() {
  PyObject* modules = PyImport_GetModuleDict();  // borrowed
  for (const char* name : kModules) {
    PyObject* module = PyDict_GetItemString(modules, name);  // borrowed
    if (module == nullptr) continue;
    const PyRef adopt = PyRef::steal(PyImport_ImportModule("pyhost._adopt"));
    if (!adopt || !PyRef::steal(PyObject_CallMethod(adopt.get(), "adopt", "O", module))) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool adopt_imports(const std::string& options) {
  const PyRef told = python::json_decode(options);
  if (!told) return false;
  PyObject* adopted = PyDict_GetItemString(told.get(), "adopt");  // borrowed
  if (adopted != nullptr && PyList_Check(adopted) && PyList_GET_SIZE(adopted) == 0) return true;
  PyObject* meta_path = PySys_GetObject("meta_path");  // borrowed
  if (meta_path == nullptr || !PyList_Check(meta_path)) return true;
  const PyRef finder = python::make_finder("pyhost.adopt", &find_spec_definition);
  return finder && PyList_Insert(meta_path, 0, finder.get()) == 0 && adopt_loaded();
}

}  // namespace pyhost::image
