// source_finder.cc: what importlib._bootstrap_external does for a source file, without its detours.
//
//   find_spec    sys.path, or the __path__ of a package --> the file, as FileFinder would find it
//                --> ModuleSpec with a SourceFileLoader whose `exec_module` is ours
//   exec_module  file --> its byte code, if that is what the import system would take --> executed
//
// `exec_module` is an attribute of the loader that hides the method of its class until the module
// is executed. Then it is deleted, and nothing in the module tells how it was imported.
#include <Python.h>
#include <python/source_finder.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include <python/byte_code.h>
#include <python/ref.h>

namespace pyhost::python {
namespace {

// What the import system is made of; alive as long as the interpreter.
struct Parts {
  PyObject* spec_class;     // ModuleSpec
  PyObject* source_loader;  // SourceFileLoader
  PyObject* file_finder;    // FileFinder
  PyObject* loaders;        // what a FileFinder without hooks has as `_loaders`
  PyObject* call;           // _call_with_frames_removed, by which tracebacks leave out importlib
  PyObject* exec;           // builtins.exec
  std::vector<std::string> before_source;  // endings of extension modules, which go first
};

Parts* parts = nullptr;  // guarded by the GIL

bool stat_path(const std::string& path, struct stat& info) {
  return stat(path.c_str(), &info) == 0;
}

bool is_file(const std::string& path) {
  struct stat info;
  return stat_path(path, info) && S_ISREG(info.st_mode);
}

enum class Look { absent, source, other };

// Whether `<base>.py` is what a FileFinder would find under this name.
Look look_for(const std::string& base) {
  for (const std::string& ending : parts->before_source) {
    if (is_file(base + ending)) return Look::other;
  }
  if (is_file(base + ".py")) return Look::source;
  return is_file(base + ".pyc") ? Look::other : Look::absent;
}

struct Found {
  std::string file;
  std::string folder;  // of a package
};

// As FileFinder.find_spec: a folder with an __init__ goes before a file.
Look look_in(std::string_view entry, std::string_view tail, Found& found) {
  std::string base = std::string(entry) + '/';
  base += tail;
  struct stat info;
  if (stat_path(base, info) && S_ISDIR(info.st_mode)) {
    if (look_for(base + "/__init__") != Look::source) return Look::other;
    found = {base + "/__init__.py", base};
    return Look::source;
  }
  const Look look = look_for(base);
  if (look == Look::source) found = {base + ".py", ""};
  return look;
}

// The text, when it is ASCII; else nothing, without an exception. Valid as long as the object.
std::string_view ascii(PyObject* text) {
  if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text)) return {};
  return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)),
          static_cast<std::size_t>(PyUnicode_GET_LENGTH(text))};
}

// What the entry of a path is searched by: true for a FileFinder that nobody taught other endings,
// false for anything else; `absent` says that nothing is there.
bool is_plain(PyObject* entry, bool& absent) {
  const std::string_view path = ascii(entry);
  if (!path.starts_with('/') || path.ends_with('/')) return false;
  const PyRef importer = PyRef::steal(PyImport_GetImporter(entry));
  if (!importer) {
    PyErr_Clear();
    return false;
  }
  absent = importer.get() == Py_None;
  if (absent) return true;
  if (reinterpret_cast<PyObject*>(Py_TYPE(importer.get())) != parts->file_finder) return false;
  const PyRef loaders = PyRef::steal(PyObject_GetAttrString(importer.get(), "_loaders"));
  const int same = loaders ? PyObject_RichCompareBool(loaders.get(), parts->loaders, Py_EQ) : 0;
  PyErr_Clear();
  return same > 0;
}

bool find(PyObject* path, std::string_view tail, Found& found) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(path); ++i) {
    const PyRef entry = PyRef::borrow(PyList_GET_ITEM(path, i));
    bool absent = false;
    if (!is_plain(entry.get(), absent)) return false;
    if (absent) continue;
    const Look look = look_in(ascii(entry.get()), tail, found);
    if (look != Look::absent) return look == Look::source;
  }
  return false;
}

PyRef text(std::string_view bytes) {
  return PyRef::steal(
      PyUnicode_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
}

// exec_module(module), bound to the loader.
PyObject* exec_module(PyObject* loader, PyObject* module) {
  if (PyObject_DelAttrString(loader, "exec_module") < 0) PyErr_Clear();  // a second call, by hand
  const PyRef file = PyRef::steal(PyObject_GetAttrString(loader, "path"));
  const PyRef names = PyRef::steal(PyObject_GetAttrString(module, "__dict__"));
  const std::string_view path = file ? ascii(file.get()) : std::string_view();
  const PyRef code =
      path.empty() || !names ? PyRef() : load_byte_code(file.get(), std::string(path));
  if (!code) {
    PyErr_Clear();
    return PyObject_CallMethod(loader, "exec_module", "O", module);
  }
  return PyObject_CallFunctionObjArgs(parts->call, parts->exec, code.get(), names.get(), nullptr);
}

PyMethodDef exec_module_definition = {"exec_module", exec_module, METH_O, nullptr};

bool set(const PyRef& object, const char* name, const PyRef& value) {
  return value && PyObject_SetAttrString(object.get(), name, value.get()) == 0;
}

// As importlib.util.spec_from_file_location makes it.
PyRef make_spec(PyObject* name, const Found& found) {
  const PyRef file = text(found.file);
  const PyRef loader = file ? PyRef::steal(PyObject_CallFunctionObjArgs(parts->source_loader, name,
                                                                        file.get(), nullptr))
                            : PyRef();
  const PyRef exec =
      loader ? PyRef::steal(PyCFunction_New(&exec_module_definition, loader.get())) : PyRef();
  if (!exec || !set(loader, "exec_module", exec)) return {};
  PyRef spec =
      PyRef::steal(PyObject_CallFunctionObjArgs(parts->spec_class, name, loader.get(), nullptr));
  if (!spec || !set(spec, "origin", file) || !set(spec, "_set_fileattr", PyRef::borrow(Py_True)) ||
      !set(spec, "cached", text(byte_code_path(found.file)))) {
    return {};
  }
  if (found.folder.empty()) return spec;
  const PyRef folders = PyRef::steal(PyList_New(1));
  PyRef folder = text(found.folder);
  if (!folders || !folder) return {};
  PyList_SET_ITEM(folders.get(), 0, folder.release());
  return set(spec, "submodule_search_locations", folders) ? std::move(spec) : PyRef();
}

// Whether byte code is beside its source.
bool byte_code_is_beside() {
  PyObject* prefix = PySys_GetObject("pycache_prefix");  // borrowed
  return prefix == nullptr || prefix == Py_None;
}

// find_spec(name, path=None, target=None)
PyObject* find_spec(PyObject* /*self*/, PyObject* const* arguments, Py_ssize_t count) {
  if (count < 1) return PyErr_Format(PyExc_TypeError, "find_spec needs the name of a module");
  const std::string_view name = ascii(arguments[0]);
  PyObject* path = count > 1 && arguments[1] != Py_None ? arguments[1] : PySys_GetObject("path");
  if (name.empty() || path == nullptr || !PyList_CheckExact(path) || !byte_code_is_beside()) {
    Py_RETURN_NONE;
  }
  const std::string_view tail = name.substr(name.rfind('.') + 1);
  // A folder's list of names has neither of these; a path leads somewhere with them.
  if (tail.empty() || tail.find('/') != std::string_view::npos) Py_RETURN_NONE;
  const PyRef kept = PyRef::borrow(path);
  Found found;
  if (!find(path, tail, found)) Py_RETURN_NONE;
  return make_spec(arguments[0], found).release();
}

PyMethodDef find_spec_definition = {
    "find_spec", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(find_spec)),
    METH_FASTCALL, nullptr};

// The list that FileFinder.__init__ makes of the loaders of a plain interpreter: (ending, loader).
// Fills in `before_source`. Null without an exception where source files have another loader.
PyRef list_loaders(const PyRef& machinery, PyObject* source_loader, Parts& made) {
  const PyRef groups =
      PyRef::steal(PyObject_CallMethod(machinery.get(), "_get_supported_file_loaders", nullptr));
  PyRef all = PyRef::steal(PyList_New(0));
  bool has_source = false;
  for (Py_ssize_t i = 0; groups && all && i < PyList_Size(groups.get()); ++i) {
    PyObject* loader = nullptr;   // borrowed
    PyObject* endings = nullptr;  // borrowed
    if (!PyArg_ParseTuple(PyList_GET_ITEM(groups.get(), i), "OO!", &loader, &PyList_Type,
                          &endings)) {
      return {};
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(endings); ++k) {
      PyObject* ending = PyList_GET_ITEM(endings, k);
      const PyRef pair = PyRef::steal(PyTuple_Pack(2, ending, loader));
      if (!pair || PyList_Append(all.get(), pair.get()) < 0) return {};
      if (ascii(ending) == ".py") has_source = loader == source_loader;
      if (!has_source) made.before_source.emplace_back(ascii(ending));
    }
  }
  return groups && has_source ? std::move(all) : PyRef();
}

// Null where the import system is not as this file knows it; then everything stays as it is.
Parts* make_parts() {
  const PyRef machinery = PyRef::steal(PyImport_ImportModule("_frozen_importlib_external"));
  const PyRef bootstrap = PyRef::steal(PyImport_ImportModule("_frozen_importlib"));
  const PyRef builtins = PyRef::steal(PyImport_ImportModule("builtins"));
  if (!machinery || !bootstrap || !builtins) return nullptr;
  auto take = [](const PyRef& module, const char* name) {
    return PyRef::steal(PyObject_GetAttrString(module.get(), name));
  };
  PyRef spec_class = take(bootstrap, "ModuleSpec");
  PyRef call = take(bootstrap, "_call_with_frames_removed");
  PyRef exec = take(builtins, "exec");
  PyRef finder = take(machinery, "FileFinder");
  PyRef source = take(machinery, "SourceFileLoader");
  Parts made{};
  PyRef loaders = source ? list_loaders(machinery, source.get(), made) : PyRef();
  if (!spec_class || !call || !exec || !finder || !loaders) return nullptr;
  made.spec_class = spec_class.release();
  made.call = call.release();
  made.exec = exec.release();
  made.file_finder = finder.release();
  made.source_loader = source.release();
  made.loaders = loaders.release();
  return new Parts(
      std::move(made));  // never destroyed: imports go on until the interpreter is gone
}

// -O has byte code of its own, -v tells what is imported.
bool wants_importlib() {
  PyObject* flags = PySys_GetObject("flags");  // borrowed
  for (const char* name : {"optimize", "verbose"}) {
    const PyRef flag =
        flags != nullptr ? PyRef::steal(PyObject_GetAttrString(flags, name)) : PyRef();
    if (!flag || PyObject_IsTrue(flag.get()) != 0) return true;
  }
  return false;
}

}  // namespace

bool install_source_finder() {
  PyObject* meta_path = PySys_GetObject("meta_path");  // borrowed
  if (parts != nullptr || meta_path == nullptr || !PyList_Check(meta_path) || wants_importlib()) {
    PyErr_Clear();
    return true;
  }
  const PyRef machinery = PyRef::steal(PyImport_ImportModule("_frozen_importlib_external"));
  const PyRef path_finder =
      machinery ? PyRef::steal(PyObject_GetAttrString(machinery.get(), "PathFinder")) : PyRef();
  const Py_ssize_t place = path_finder ? PySequence_Index(meta_path, path_finder.get()) : -1;
  if (place >= 0) parts = make_parts();
  PyErr_Clear();
  if (parts == nullptr) return true;
  const PyRef finder = PyRef::steal(PyModule_New("pyhost.source_finder"));
  const PyRef function = PyRef::steal(PyCFunction_New(&find_spec_definition, nullptr));
  return finder && function &&
         PyObject_SetAttrString(finder.get(), "find_spec", function.get()) == 0 &&
         PyList_Insert(meta_path, place, finder.get()) == 0;
}

}  // namespace pyhost::python
