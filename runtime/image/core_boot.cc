// core_boot.cc: `_pyhost_core.boot()`: takes over an interpreter that ran `-c BOOT CORE ...`.
#include <Python.h>

#include <cstdlib>
#include <string>
#include <utility>

#include <image/core_image.h>
#include <image/core_target.h>
#include <python/ref.h>
#include <worker/packages.h>
#include <worker/worker.h>

extern "C" PyObject* PyInit__pyhost_core();  // NOLINT: the name CPython looks for

namespace pyhost::image {
namespace {

using python::PyRef;

std::string& run_options_text() {
  static auto& text = *new std::string;  // never destroyed: read until the interpreter is gone
  return text;
}

// The pointer that CPython links a new frame to. It is null under `python SCRIPT`, and so while
// user code runs: else `inspect.stack`, warnings and printed stacks would show the frame of the
// boot line.
auto& current_frame() {
  PyThreadState* thread = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030D0000
  return thread->current_frame;
#elif PY_VERSION_HEX >= 0x030B0000
  return thread->cframe->current_frame;
#else
  return thread->frame;
#endif
}

// A `__main__` without the names of the boot line. A new module, because the frame of the boot line
// keeps the old one's names alive: at exit they would not be destroyed as they are under python.
bool renew_main() {
  PyObject* old = PyImport_AddModule("__main__");  // borrowed
  const PyRef fresh = PyRef::steal(PyModule_New("__main__"));
  if (old == nullptr || !fresh) return false;
  PyObject* names = PyModule_GetDict(fresh.get());
  if (PyDict_Update(names, PyModule_GetDict(old)) < 0) return false;
  for (const char* name : {"_imp", "sys", "s", "m"}) {
    if (PyDict_DelItemString(names, name) < 0) return false;
  }
  return PyDict_SetItemString(PyImport_GetModuleDict(), "__main__", fresh.get()) == 0;
}

// Item `index` of sys.argv as UTF-8, surrogates kept as the bytes they stand for.
bool argument(PyObject* argv, Py_ssize_t index, std::string& out) {
  PyObject* item = PyList_GetItem(argv, index);  // borrowed
  if (item == nullptr) return false;
  const PyRef bytes = PyRef::steal(PyUnicode_EncodeFSDefault(item));
  if (!bytes) return false;
  out.assign(PyBytes_AS_STRING(bytes.get()), PyBytes_GET_SIZE(bytes.get()));
  return true;
}

// sys.argv: -c CORE run PACKAGES OPTIONS MODE TARGET ARGS...
PyObject* boot_run(PyObject* argv) {
  std::string packages;
  std::string options;
  Target target;
  if (!argument(argv, 3, packages) || !argument(argv, 4, options) ||
      !argument(argv, 5, target.mode)) {
    return nullptr;
  }
  PyObject* name = PyList_GetItem(argv, 6);
  if (name == nullptr) return nullptr;
  target.name = PyRef::borrow(name);
  target.arguments = PyRef::steal(PyList_GetSlice(argv, 7, PyList_GET_SIZE(argv)));
  if (!target.arguments) return nullptr;
  keep_run_options(options);
  if (!worker::install_package_finder(packages) || !adopt_imports(options) || !renew_main()) {
    return nullptr;
  }
  auto* boot_frame = std::exchange(current_frame(), nullptr);
  report_on_signal();
  const int status = run_target(target);
  if (!prompt_follows()) finish(status);
  current_frame() = boot_frame;
  Py_RETURN_NONE;
}

// sys.argv: -c CORE zygote FD
PyObject* boot_zygote(PyObject* argv) {
  std::string control;
  if (!argument(argv, 3, control) || !renew_main()) return nullptr;
  current_frame() = nullptr;
  worker::run_zygote(std::atoi(control.c_str()), false);
}

PyObject* boot(PyObject* /*module*/, PyObject* /*unused*/) {
  PyObject* argv = PySys_GetObject("argv");  // borrowed
  std::string command;
  if (argv == nullptr || !PyList_Check(argv) || !argument(argv, 2, command)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "sys.argv is not that of pyhost");
    return nullptr;
  }
  if (command == "run") return boot_run(argv);
  if (command == "zygote") return boot_zygote(argv);
  return PyErr_Format(PyExc_RuntimeError, "`%s` is nothing to boot; run or zygote is",
                      command.c_str());
}

PyObject* run_options(PyObject* /*module*/, PyObject* /*unused*/) {
  if (run_options_text().empty()) Py_RETURN_NONE;
  return PyUnicode_DecodeFSDefaultAndSize(run_options_text().data(),
                                          static_cast<Py_ssize_t>(run_options_text().size()));
}

PyObject* take_run_options(PyObject* /*module*/, PyObject* text) {
  const char* options = PyUnicode_AsUTF8(text);
  if (options == nullptr) return nullptr;
  keep_run_options(options);
  if (!adopt_imports(options)) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef table[] = {
    {"boot", boot, METH_NOARGS,
     "Takes over an interpreter started by pyhost; returns before a prompt only."},
    {"run_options", run_options, METH_NOARGS,
     "The options of `pyhost run` as JSON text, or None outside of it."},
    {"take_run_options", take_run_options, METH_O,
     "take_run_options(text): in a worker, those of the driver, which hold here, too."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* methods() {
  return table;
}

std::string version_mismatch() {
  const std::string running = Py_GetVersion();
  const std::string built =
      std::to_string(PY_MAJOR_VERSION) + "." + std::to_string(PY_MINOR_VERSION);
  if (running.starts_with(built) && running.find_first_of(".+ ", built.size()) == built.size()) {
    return "";
  }
  return "this core of pyhost was built for CPython " + built + ", the interpreter is " +
         running.substr(0, running.find(' ')) +
         "; choose the interpreter with --python, or add it to PYHOST_PYTHONS and rebuild";
}

bool register_core() {
  const PyRef module = PyRef::steal(PyInit__pyhost_core());
  return module &&
         PyDict_SetItemString(PyImport_GetModuleDict(), "_pyhost_core", module.get()) == 0;
}

void keep_run_options(std::string json) {
  run_options_text() = std::move(json);
}

}  // namespace pyhost::image
