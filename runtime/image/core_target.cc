// core_target.cc: what CPython's own main does after initialization, for a target that was not on
// the command line of this interpreter.
//
// Why not runpy: its frames would stand in every traceback of the script. Each step below follows
// what `python` does in that version-independent order: argv, path, run, finalize, exit. The prompt
// of `-i` is CPython's own: it follows when the boot line returns.
#include <Python.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <image/core_target.h>

namespace pyhost::image {
namespace {

using python::PyRef;

constexpr int kFinalizeFailed = 120;  // CPython's status when flushing stdout fails at exit

PyRef text(const std::string& bytes) {
  return PyRef::steal(
      PyUnicode_DecodeFSDefaultAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
}

std::string path_bytes(PyObject* name) {
  const PyRef bytes = PyRef::steal(PyUnicode_EncodeFSDefault(name));
  if (!bytes) {
    PyErr_Clear();
    return "";
  }
  return std::string(PyBytes_AS_STRING(bytes.get()), PyBytes_GET_SIZE(bytes.get()));
}

// SystemExit ends the process in here with its own status, but not where a prompt follows.
int failed() {
  PyErr_Print();
  return 1;
}

// Whether `sys.flags` has it; false for one that this CPython does not know.
bool flag(const char* name) {
  PyObject* flags = PySys_GetObject("flags");  // borrowed
  const PyRef value = PyRef::steal(PyObject_GetAttrString(flags, name));
  const int set = value ? PyObject_IsTrue(value.get()) : -1;
  if (set < 0) PyErr_Clear();
  return set > 0;
}

// A variable of Python's, as the script may have set it by now.
const char* variable(const char* name) {
  const char* value = flag("ignore_environment") ? nullptr : std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

bool is_interactive() {
  return isatty(STDIN_FILENO) != 0 || flag("interactive");
}

// Whether sys.path starts with an entry for the target: not under -I and -P.
bool adds_path() {
#if PY_VERSION_HEX >= 0x030B0000
  return !flag("safe_path");
#else
  return !flag("isolated");
#endif
}

// The boot line has put '' at the front of sys.path, unless `adds_path()` is false.
void set_first_path(PyObject* entry, bool even_when_safe) {
  PyObject* path = PySys_GetObject("path");  // borrowed
  if (path == nullptr || !PyList_Check(path) || entry == nullptr) return;
  if (adds_path() && PyList_GET_SIZE(path) > 0) {
    Py_INCREF(entry);
    PyList_SetItem(path, 0, entry);
  } else if (even_when_safe) {
    PyList_Insert(path, 0, entry);
  }
}

// sys.argv and sys.orig_argv as if the target had stood on the command line.
void set_arguments(const Target& target) {
  PyObject* boot_argv = PySys_GetObject("argv");  // borrowed
  const Py_ssize_t boot_count = boot_argv != nullptr ? PyList_Size(boot_argv) : 0;
  const char* flag = target.mode == "module" ? "-m" : target.mode == "command" ? "-c" : nullptr;

  const PyRef argv = PyRef::steal(PyList_New(0));
  const PyRef first =
      flag != nullptr ? PyRef::steal(PyUnicode_FromString(flag)) : PyRef::borrow(target.name.get());
  PyList_Append(argv.get(), first.get());
  PyList_SetSlice(argv.get(), 1, 1, target.arguments.get());

  PyObject* original = PySys_GetObject("orig_argv");  // borrowed; absent before 3.10
  if (original != nullptr && PyList_Check(original)) {
    // python FLAGS... -c BOOT CORE run ...: everything before -c is the user's.
    const Py_ssize_t flags_end = PyList_GET_SIZE(original) - boot_count - 1;
    const PyRef fixed = PyRef::steal(PyList_GetSlice(original, 0, flags_end));
    if (flag != nullptr) PyList_Append(fixed.get(), first.get());
    PyList_Append(fixed.get(), target.name.get());
    const Py_ssize_t end = PyList_GET_SIZE(fixed.get());
    PyList_SetSlice(fixed.get(), end, end, target.arguments.get());
    PySys_SetObject("orig_argv", fixed.get());
  }
  PySys_SetObject("argv", argv.get());
}

int run_module(PyObject* name, bool set_argv0) {
  const PyRef runpy = PyRef::steal(PyImport_ImportModule("runpy"));
  if (!runpy) return failed();
  const PyRef result = PyRef::steal(
      PyObject_CallMethod(runpy.get(), "_run_module_as_main", "Oi", name, set_argv0 ? 1 : 0));
  if (!result) return failed();
  return 0;
}

// The file's folder, symbolic links resolved, as sys.path[0] of a script is.
PyRef script_folder(const std::string& path) {
  char resolved[PATH_MAX];
  const std::string full = realpath(path.c_str(), resolved) != nullptr ? resolved : path;
  const std::size_t slash = full.rfind('/');
  if (slash == std::string::npos) return text("");
  return text(full.substr(0, slash == 0 ? 1 : slash));
}

// CPython shows and stores the script's path made absolute, not normalized.
std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char cwd[PATH_MAX];
  if (getcwd(cwd, sizeof cwd) == nullptr) return path;
  if (path.empty() || path == ".") return cwd;
  return std::string(cwd) + "/" + path;
}

int cannot_open(const std::string& path, int error_number) {
  PyObject* original = PySys_GetObject("orig_argv");  // borrowed
  PyObject* program = original != nullptr && PyList_Check(original) && PyList_GET_SIZE(original) > 0
                          ? PyList_GET_ITEM(original, 0)
                          : PySys_GetObject("executable");
  const PyRef name = text(path);
#if PY_VERSION_HEX >= 0x030A0000
  const char* format = "%S: can't open file %R: [Errno %d] %s\n";
#else
  const char* format = "%S: can't open file '%S': [Errno %d] %s\n";
#endif
  PySys_FormatStderr(format, program, name.get(), error_number, std::strerror(error_number));
  return 2;
}

// What `python` does before the prompt of a session that has no script.
void greet() {
  if (!flag("quiet")) {
    PySys_WriteStderr("Python %s on %s\n", Py_GetVersion(), Py_GetPlatform());
    PySys_WriteStderr(
        "Type \"help\", \"copyright\", \"credits\" or \"license\" for more information.\n");
  }
  const char* startup = variable("PYTHONSTARTUP");
  if (startup == nullptr) return;
  FILE* file = std::fopen(startup, "rbe");
  if (file == nullptr) {
    PySys_WriteStderr("Could not open PYTHONSTARTUP `%.500s`: %s\n", startup, std::strerror(errno));
    return;
  }
  if (PyRun_SimpleFileEx(file, startup, 1) != 0) PyErr_Clear();
}

int run_stdin() {
  set_first_path(text("").get(), false);
  if (is_interactive()) greet();
  if (prompt_follows()) return 0;
  PyCompilerFlags flags{};
  flags.cf_feature_version = PY_MINOR_VERSION;
  return PyRun_AnyFileExFlags(stdin, "<stdin>", 0, &flags) == 0 ? 0 : 1;
}

int run_file(PyObject* name) {
  const std::string given = path_bytes(name);
  if (given == "-") return run_stdin();
  const std::string path = absolute(given);
  const PyRef entry = text(path);
  if (!entry) return failed();

  // A folder or an archive with a `__main__.py` is imported from, not opened.
  const PyRef importer = PyRef::steal(PyImport_GetImporter(entry.get()));
  if (!importer) return failed();
  if (importer.get() != Py_None) {
    set_first_path(entry.get(), true);
    return run_module(text("__main__").get(), false);
  }

  set_first_path(script_folder(given).get(), false);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_open(path, errno);
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    close(fd);
    return cannot_open(path, EISDIR);
  }
  FILE* file = fdopen(fd, "rb");
  PyCompilerFlags flags{};
  flags.cf_feature_version = PY_MINOR_VERSION;
  return PyRun_AnyFileExFlags(file, path.c_str(), 1, &flags) == 0 ? 0 : 1;
}

// From 3.13 on tracebacks show the source of a command, which CPython keeps in `linecache`: under
// its name at first, under what identifies a code object in later releases.
#if PY_VERSION_HEX >= 0x030D0000
// What is kept now is the boot line, which is nobody's.
void forget_kept_sources() {
  PyObject* linecache = PyDict_GetItemString(PyImport_GetModuleDict(), "linecache");
  for (const char* name : {"cache", "_interactive_cache"}) {
    const PyRef kept = PyRef::steal(linecache ? PyObject_GetAttrString(linecache, name) : nullptr);
    if (kept && PyDict_Check(kept.get())) PyDict_Clear(kept.get());
  }
  PyErr_Clear();
}

void keep_source(PyObject* code, PyObject* source) {
  const PyRef linecache = PyRef::steal(PyImport_ImportModule("linecache"));
  const PyRef name = PyRef::steal(PyUnicode_FromString("<string>"));
  if (linecache && name) {
    const bool by_code = PyObject_HasAttrString(linecache.get(), "_interactive_cache") != 0;
    PyRef::steal(PyObject_CallMethod(linecache.get(), "_register_code", "OOO",
                                     by_code ? code : name.get(), source, name.get()));
  }
  PyErr_Clear();
}

int run_source(const char* bytes, PyObject* source, PyCompilerFlags& flags) {
  const PyRef code =
      PyRef::steal(Py_CompileStringExFlags(bytes, "<string>", Py_file_input, &flags, -1));
  if (!code) return failed();
  keep_source(code.get(), source);
  PyObject* names = PyModule_GetDict(PyImport_AddModule("__main__"));
  if (!PyRef::steal(PyEval_EvalCode(code.get(), names, names))) return failed();
  return 0;
}
#else
void forget_kept_sources() {}

int run_source(const char* bytes, PyObject* /*source*/, PyCompilerFlags& flags) {
  return PyRun_SimpleStringFlags(bytes, &flags) == 0 ? 0 : 1;
}
#endif

int run_command(PyObject* name) {
  const PyRef command = PyRef::steal(PyUnicode_FromFormat("%U\n", name));
  const PyRef bytes = command ? PyRef::steal(PyUnicode_AsUTF8String(command.get())) : PyRef();
  if (!bytes) {
    PySys_WriteStderr("Unable to decode the command from the command line:\n");
    return failed();
  }
  PyCompilerFlags flags{};
  flags.cf_flags = PyCF_IGNORE_COOKIE;
  flags.cf_feature_version = PY_MINOR_VERSION;
  return run_source(PyBytes_AS_STRING(bytes.get()), command.get(), flags);
}

// `python -m` puts the current folder in front, made absolute.
int run_named_module(PyObject* name) {
  char cwd[PATH_MAX];
  if (getcwd(cwd, sizeof cwd) != nullptr) set_first_path(text(cwd).get(), false);
  return run_module(name, true);
}

}  // namespace

int run_target(const Target& target) {
  set_arguments(target);
  forget_kept_sources();
  if (target.mode == "module") return run_named_module(target.name.get());
  if (target.mode == "command") return run_command(target.name.get());
  return run_file(target.name.get());
}

bool prompt_follows() {
  return (flag("inspect") || variable("PYTHONINSPECT") != nullptr) && is_interactive();
}

void finish(int status) {
  // Look before finalization: nothing of Python is left after it.
  PyObject* last = status == 0 ? nullptr : PySys_GetObject("last_type");  // borrowed
  const bool interrupted = last == PyExc_KeyboardInterrupt;
  if (Py_FinalizeEx() < 0) status = kFinalizeFailed;
  if (interrupted) {
    signal(SIGINT, SIG_DFL);
    kill(getpid(), SIGINT);
  }
  std::exit(interrupted ? 128 + SIGINT : status);
}

}  // namespace pyhost::image
