#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <worker/load.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include <base/system.h>
#include <process/control.h>
#include <python/errors.h>
#include <python/json.h>
#include <python/marshal.h>
#include <python/text.h>
#include <worker/inheritance.h>
#include <worker/output.h>
#include <worker/packages.h>
#include <worker/thread_cap.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

PyRef path_text(const std::string& path) {
  return PyRef::steal(
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

std::string file_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string current_folder() {
  char buffer[PATH_MAX];
  return getcwd(buffer, sizeof buffer) != nullptr ? buffer : "";
}

// The file of the same folder whose name is closest, or "".
std::string closest_file(const std::string& path) {
  const PyRef names = PyRef::steal(PyList_New(0));
  DIR* folder = opendir(folder_of(path).c_str());
  if (folder == nullptr || !names) return "";
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (!name.ends_with(".py")) continue;
    const PyRef item = path_text(name);
    if (item) PyList_Append(names.get(), item.get());
  }
  closedir(folder);
  PyErr_Clear();
  const std::string close = python::closest_name(file_name(path), names.get());
  if (close.empty()) return "";
  return path.substr(0, path.size() - file_name(path).size()) + close;
}

// A module name for a script: its stem, unless that would take the place of another module.
PyRef module_name(const std::string& script) {
  std::string stem = file_name(script);
  if (const std::size_t dot = stem.rfind('.'); dot != std::string::npos && dot > 0) {
    stem.resize(dot);
  }
  for (char& c : stem) {
    if (c == '.') c = '_';  // a dot would make it the child of a package
  }
  PyRef name = path_text(stem);
  if (!name) return {};
  if (PyDict_GetItemWithError(PyImport_GetModuleDict(), name.get()) == nullptr) return name;
  return PyRef::steal(PyUnicode_FromFormat("pyhost_script_%U", name.get()));
}

// The plan as Python objects. The text comes from the host, so it is what it should be.
class Plan {
 public:
  explicit Plan(std::string_view json) : object_(python::json_decode(json)) {}
  bool ok() const { return object_ && PyDict_Check(object_.get()); }
  PyObject* list(const char* key) const {  // borrowed; null when empty
    PyObject* value = PyDict_GetItemString(object_.get(), key);
    return value != nullptr && PyList_Check(value) && PyList_GET_SIZE(value) > 0 ? value : nullptr;
  }
  std::string string(const char* key) const {
    PyObject* value = PyDict_GetItemString(object_.get(), key);
    const PyRef bytes = value != nullptr && PyUnicode_Check(value)
                            ? PyRef::steal(PyUnicode_EncodeFSDefault(value))
                            : PyRef();
    if (!bytes) {
      PyErr_Clear();
      return "";
    }
    return std::string(PyBytes_AS_STRING(bytes.get()), PyBytes_GET_SIZE(bytes.get()));
  }
  int number(const char* key) const {
    PyObject* value = PyDict_GetItemString(object_.get(), key);
    return value != nullptr && PyLong_Check(value) ? static_cast<int>(PyLong_AsLong(value)) : 0;
  }

 private:
  PyRef object_;
};

// What is kept of an error too long for one control message: of its message, and of the end of its
// traceback. Both together stay far below the limit even when every character needs an escape.
constexpr std::size_t kMessageBytes = 8192;
constexpr Py_ssize_t kTracebackCharacters = 16384;

// An error that fits into one control message: a longer one would be cut in the middle of its
// JSON. Its message and the end of its traceback, which names the cause, are what is kept.
std::string fitting_json(std::string json) {
  if (json.size() <= process::kMaxBody) return json;
  const PyRef error = python::json_decode(json);
  const auto text_of = [&](const char* key) {
    PyObject* value = error ? PyDict_GetItemString(error.get(), key) : nullptr;
    return value != nullptr && PyUnicode_Check(value) ? PyRef::borrow(value)
                                                      : PyRef::steal(PyUnicode_New(0, 0));
  };
  const PyRef traceback = text_of("traceback");
  const Py_ssize_t length = PyUnicode_GET_LENGTH(traceback.get());
  const PyRef end = PyRef::steal(PyUnicode_Substring(
      traceback.get(), std::max<Py_ssize_t>(0, length - kTracebackCharacters), length));
  std::string out = "{\"type\": ";
  python::append_quoted(out, python::utf8_of(text_of("type").get(), kMessageBytes));
  out += ", \"message\": ";
  python::append_quoted(out, python::utf8_of(text_of("message").get(), kMessageBytes));
  out += ", \"traceback\": ";
  python::append_quoted(out, end ? python::utf8_of(end.get()) : "");
  PyErr_Clear();
  return out + ", \"frames\": []}";
}

class Loader {
 public:
  Loader(const Plan& plan, Loaded& loaded) : plan_(plan), loaded_(loaded) {}

  LoadReport run() {
    if (prepare() && load_main() && preload() && load_target()) check_functions();
    report_.threads = count_threads();
    return std::move(report_);
  }

 private:
  bool fail(std::string_view message) {
    report_.failure = error_json(message);
    return false;
  }
  bool fail_with_exception(const std::string& context);
  bool prepare();
  void set_first_path();
  bool load_main();
  bool preload();
  bool load_target();
  bool load_script(const std::string& script);
  PyRef make_module(PyObject* name, const std::string& script);
  bool execute(PyObject* module, const std::string& source);
  bool load_module(const std::string& name);
  bool check_functions();
  void look_for_threads(const std::string& import) {
    if (report_.threaded_by.empty() && count_threads() > 1) report_.threaded_by = import;
  }

  const Plan& plan_;
  Loaded& loaded_;
  LoadReport report_;
};

// The pending exception. SystemExit is told apart: as a bare status it would explain nothing.
bool Loader::fail_with_exception(const std::string& context) {
  if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
    const PyRef exception = python::take_exception();
    const PyRef code = PyRef::steal(PyObject_GetAttrString(exception.get(), "code"));
    const PyRef shown = code ? PyRef::steal(PyObject_Repr(code.get())) : PyRef();
    PyErr_Clear();
    const std::string value =
        !shown || code.get() == Py_None ? "" : python::utf8_of(shown.get(), 200);
    return fail(context + " called `sys.exit(" + value +
                ")` while it was loaded; put its main part under `if __name__ == \"__main__\":`");
  }
  report_.failure = fitting_json(python::take_error_json(context));
  return false;
}

bool Loader::prepare() {
  cap_threads_of_imports(plan_.number("threads"));
  const std::string folder = plan_.string("folder");
  if (!folder.empty() && chdir(folder.c_str()) != 0) {
    return fail("cannot enter the driver's folder `" + folder + "`: " + std::strerror(errno));
  }
  keep_inheritance(plan_.string("inheritance"));
  if (PyObject* path = plan_.list("sys_path")) PySys_SetObject("path", path);
  set_first_path();
  PyRef argv = PyRef::borrow(plan_.list("argv"));
  if (!argv) {
    const PyRef script = path_text(plan_.string("script"));
    argv = script ? PyRef::steal(PyList_New(0)) : PyRef();
    if (argv) PyList_Append(argv.get(), script.get());
  }
  if (argv) PySys_SetObject("argv", argv.get());
  if (PyErr_Occurred() != nullptr || !install_package_finder(plan_.string("packages"))) {
    return fail_with_exception("preparing the interpreter");
  }
  catch_up_with_multiprocessing();
  if (!take_run_options()) return fail_with_exception("taking over the options of `pyhost run`");
  await_multiprocessing();
  if (!set_warnings()) return fail_with_exception("taking over the warnings filters");
  return true;
}

// The main module of a driver that wants its functions found by their names.
bool Loader::load_main() {
  const WithStdout as_in_the_driver;  // where the script's own prints go
  if (!import_main()) return fail_with_exception("importing the main module");
  look_for_threads("__main__");
  return true;
}

// The script's folder, or the current one for a module, in front of sys.path, as python has it.
void Loader::set_first_path() {
  PyObject* path = PySys_GetObject("path");  // borrowed
  if (path == nullptr || !PyList_Check(path) || plan_.list("sys_path") != nullptr) return;
  // The executable image was started with -c, which puts '' there.
  PyObject* first = PyList_GET_SIZE(path) > 0 ? PyList_GET_ITEM(path, 0) : nullptr;
  if (first != nullptr && PyUnicode_Check(first) && PyUnicode_GET_LENGTH(first) == 0) {
    PyList_SetSlice(path, 0, 1, nullptr);
  }
  PyObject* flags = PySys_GetObject("flags");
  const PyRef safe = PyRef::steal(PyObject_GetAttrString(flags, "safe_path"));  // from 3.11 on
  PyErr_Clear();
  if (safe && PyObject_IsTrue(safe.get()) == 1) return;
  std::string folder = current_folder();
  if (const std::string script = plan_.string("script"); !script.empty()) {
    char resolved[PATH_MAX];
    folder = folder_of(realpath(script.c_str(), resolved) != nullptr ? resolved : script);
  }
  const PyRef entry = path_text(folder);
  if (entry) PyList_Insert(path, 0, entry.get());
  PyErr_Clear();
}

bool Loader::preload() {
  PyObject* names = plan_.list("preload");
  if (names == nullptr) return true;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); ++i) {
    PyObject* name = PyList_GET_ITEM(names, i);
    const std::string shown = python::utf8_of(name);
    const PyRef module = PyRef::steal(PyImport_Import(name));
    if (!module) return fail_with_exception("preloading `" + shown + "`");
    look_for_threads(shown);
  }
  return true;
}

bool Loader::load_target() {
  const std::string script = plan_.string("script");
  const std::string module = plan_.string("module");
  bool done = true;
  if (!script.empty()) {
    done = load_script(script);
  } else if (!module.empty()) {
    done = load_module(module);
  }
  if (done) look_for_threads(script.empty() ? module : script);
  return done;
}

bool Loader::load_script(const std::string& script) {
  struct stat info;
  if (stat(script.c_str(), &info) != 0) {
    const int error_number = errno;
    const std::string close = closest_file(script);
    const std::string hint = close.empty() ? "check the path" : "did you mean `" + close + "`?";
    return fail("cannot load the script `" + script + "`: " + std::strerror(error_number) + "; " +
                hint);
  }
  if (S_ISDIR(info.st_mode)) {
    return fail("cannot load the script `" + script + "`: it is a folder; name a .py file in it");
  }
  Result<std::string> source = base::read_file(script);
  if (!source.ok()) return fail("cannot load the script: " + source.error().message);
  const PyRef name = module_name(script);
  const PyRef module = name ? make_module(name.get(), script) : PyRef();
  if (!module) return fail_with_exception("loading `" + script + "`");
  if (!execute(module.get(), *source)) {
    PyRef exception = python::take_exception();
    if (PyDict_DelItem(PyImport_GetModuleDict(), name.get()) < 0) PyErr_Clear();
    python::set_exception(std::move(exception));
    return fail_with_exception("loading `" + script + "`");
  }
  // Scripts may replace themselves in sys.modules; what stands there is the module then.
  PyObject* now = PyDict_GetItemWithError(PyImport_GetModuleDict(), name.get());
  loaded_.module = PyRef::borrow(now != nullptr ? now : module.get());
  loaded_.label = script;
  return true;
}

// An empty module with the attributes of an imported one, registered in sys.modules.
PyRef Loader::make_module(PyObject* name, const std::string& script) {
  const PyRef external = PyRef::steal(PyImport_ImportModule("_frozen_importlib_external"));
  const PyRef bootstrap = PyRef::steal(PyImport_ImportModule("_frozen_importlib"));
  if (!external || !bootstrap) return {};
  const PyRef path = path_text(script.starts_with('/') ? script : current_folder() + "/" + script);
  if (!path) return {};
  const PyRef loader =
      PyRef::steal(PyObject_CallMethod(external.get(), "SourceFileLoader", "OO", name, path.get()));
  if (!loader) return {};
  const PyRef spec = PyRef::steal(
      PyObject_CallMethod(external.get(), "spec_from_file_location", "OO", name, path.get()));
  PyRef usable = PyRef::borrow(spec.get());
  if (usable && usable.get() == Py_None) {  // a name without .py: no loader claims it
    usable = PyRef::steal(
        PyObject_CallMethod(bootstrap.get(), "spec_from_loader", "OO", name, loader.get()));
  }
  if (!usable) return {};
  PyRef module =
      PyRef::steal(PyObject_CallMethod(bootstrap.get(), "module_from_spec", "O", usable.get()));
  if (!module || PyObject_SetAttrString(module.get(), "__file__", path.get()) < 0 ||
      PyDict_SetItem(PyImport_GetModuleDict(), name, module.get()) < 0) {
    return {};
  }
  return module;
}

// Compiles and runs without the import system's frames in between. No .pyc is written: a script's
// folder stays as it is, as under `python SCRIPT`.
bool Loader::execute(PyObject* module, const std::string& source) {
  const PyRef path = PyRef::steal(PyObject_GetAttrString(module, "__file__"));
  const PyRef bytes = PyRef::steal(
      PyBytes_FromStringAndSize(source.data(), static_cast<Py_ssize_t>(source.size())));
  const PyRef builtins = PyRef::steal(PyImport_ImportModule("builtins"));
  if (!path || !bytes || !builtins) return false;
  const PyRef code = PyRef::steal(PyObject_CallMethod(builtins.get(), "compile", "OOsiO",
                                                      bytes.get(), path.get(), "exec", 0, Py_True));
  if (!code) return false;
  PyObject* names = PyModule_GetDict(module);
  if (PyDict_SetItemString(names, "__builtins__", builtins.get()) < 0) return false;
  return static_cast<bool>(PyRef::steal(PyEval_EvalCode(code.get(), names, names)));
}

bool Loader::load_module(const std::string& name) {
  const PyRef text = path_text(name);
  const PyRef importlib = PyRef::steal(PyImport_ImportModule("_frozen_importlib"));
  // `_gcd_import` returns the last part of a dotted name; `__import__` would return the first.
  PyRef module =
      text && importlib
          ? PyRef::steal(PyObject_CallMethod(importlib.get(), "_gcd_import", "O", text.get()))
          : PyRef();
  if (!module) return fail_with_exception("importing `" + name + "`");
  loaded_.module = std::move(module);
  loaded_.label = name;
  return true;
}

bool Loader::check_functions() {
  PyObject* names = plan_.list("functions");
  for (Py_ssize_t i = 0; names != nullptr && i < PyList_GET_SIZE(names); ++i) {
    const std::string name = python::utf8_of(PyList_GET_ITEM(names, i));
    if (find_function(loaded_, name)) continue;
    const bool ours =
        PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_TypeError);
    if (!ours) return fail_with_exception("looking for `" + name + "`");
    const PyRef exception = python::take_exception();
    const PyRef message = PyRef::steal(PyObject_Str(exception.get()));
    PyErr_Clear();
    return fail(message ? python::utf8_of(message.get()) : "no function `" + name + "`");
  }
  return true;
}

}  // namespace

LoadReport load(std::string_view text, Loaded& loaded) {
  const Plan plan(text);
  if (!plan.ok()) {
    PyErr_Clear();
    return {.failure = error_json("the host sent no plan to load; report this")};
  }
  return Loader(plan, loaded).run();
}

void keep_inheritance_of(std::string_view text) {
  const Plan plan(text);
  if (plan.ok()) keep_inheritance(plan.string("inheritance"));
  PyErr_Clear();
}

int count_threads() {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return 1;
  int threads = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') ++threads;
  }
  closedir(folder);
  return threads;
}

std::string error_json(std::string_view message) {
  std::string out = "{\"type\": \"\", \"message\": ";
  python::append_quoted(out, message);
  return out + ", \"traceback\": \"\", \"frames\": []}";
}

}  // namespace pyhost::worker
