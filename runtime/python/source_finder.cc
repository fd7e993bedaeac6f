// source_finder.cc: what importlib._bootstrap_external does for a source file, without its detours.
//
//   find_spec  sys.path, or the __path__ of a package --> the file, as FileFinder would find it
//              --> ModuleSpec with a QuickLoader
//   exec_module  file, __pycache__/file.pyc --> the same check as SourceLoader.get_code -->
//   executed
//
// The loader is a subclass of SourceFileLoader only until it executes its module: then its class is
// SourceFileLoader, and nothing in the module tells how it was imported.
#include <Python.h>
#include <fcntl.h>
#include <marshal.h>
#include <python/source_finder.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <base/fd.h>
#include <python/ref.h>

namespace pyhost::python {
namespace {

// PEP 552: magic number, flags (0: checked by time and size of the source), time, size.
struct CodeHeader {
  std::uint32_t magic;
  std::uint32_t flags;
  std::uint32_t seconds;
  std::uint32_t size;
};
static_assert(sizeof(CodeHeader) == 16);

// What the import system is made of; alive as long as the interpreter.
struct Parts {
  PyObject* spec_class;     // ModuleSpec
  PyObject* source_loader;  // SourceFileLoader
  PyObject* quick_loader;   // its subclass, see above
  PyObject* file_finder;    // FileFinder
  PyObject* loaders;        // what a FileFinder without hooks has as `_loaders`
  PyObject* call;           // _call_with_frames_removed, by which tracebacks leave out importlib
  PyObject* exec;           // builtins.exec
  std::string cached_end;   // .cpython-311.pyc
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

std::string cached_path(std::string_view file) {
  const std::size_t slash = file.rfind('/') + 1;
  std::string path(file.substr(0, slash));
  path += "__pycache__/";
  path += file.substr(slash, file.size() - slash - std::strlen(".py"));
  return path + parts->cached_end;
}

bool set(const PyRef& object, const char* name, const PyRef& value) {
  return value && PyObject_SetAttrString(object.get(), name, value.get()) == 0;
}

// As importlib.util.spec_from_file_location makes it.
PyRef make_spec(PyObject* name, const Found& found) {
  const PyRef file = text(found.file);
  const PyRef loader = file ? PyRef::steal(PyObject_CallFunctionObjArgs(parts->quick_loader, name,
                                                                        file.get(), nullptr))
                            : PyRef();
  PyRef spec = loader ? PyRef::steal(PyObject_CallFunctionObjArgs(parts->spec_class, name,
                                                                  loader.get(), nullptr))
                      : PyRef();
  if (!spec || !set(spec, "origin", file) || !set(spec, "_set_fileattr", PyRef::borrow(Py_True)) ||
      !set(spec, "cached", text(cached_path(found.file)))) {
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

// Byte code of the file, when that is what the import system would take; else nothing.
PyRef load_code(PyObject* file, const std::string& path) {
  struct stat source;
  if (!stat_path(path, source)) return {};
  const std::string cached = cached_path(path);
  if (PySys_Audit("open", "ssi", cached.c_str(), "r", O_RDONLY | O_CLOEXEC) < 0) return {};
  const base::UniqueFd fd(open(cached.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (!fd || fstat(fd.get(), &info) != 0 ||
      info.st_size <= static_cast<off_t>(sizeof(CodeHeader))) {
    return {};
  }
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  if (read(fd.get(), bytes.data(), bytes.size()) != info.st_size) return {};
  CodeHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != static_cast<std::uint32_t>(PyImport_GetMagicNumber()) || header.flags != 0 ||
      header.seconds != static_cast<std::uint32_t>(source.st_mtime) ||
      header.size != static_cast<std::uint32_t>(source.st_size)) {
    return {};
  }
  const char* data = bytes.data() + sizeof header;
  const auto size = static_cast<Py_ssize_t>(bytes.size() - sizeof header);
  PyRef code = PyRef::steal(PyMarshal_ReadObjectFromString(data, size));
  if (!code || !PyCode_Check(code.get())) return {};
  // Compiled elsewhere, the code names another file: importlib has the means to change that.
  const PyRef named = PyRef::steal(PyObject_GetAttrString(code.get(), "co_filename"));
  const bool same = named && PyUnicode_Compare(named.get(), file) == 0;
  return same ? std::move(code) : PyRef();
}

// exec_module(self, module)
PyObject* exec_module(PyObject* /*self*/, PyObject* arguments) {
  PyObject* self = nullptr;
  PyObject* module = nullptr;
  if (!PyArg_ParseTuple(arguments, "OO:exec_module", &self, &module)) return nullptr;
  if (PyObject_SetAttrString(self, "__class__", parts->source_loader) < 0) return nullptr;
  const PyRef file = PyRef::steal(PyObject_GetAttrString(self, "path"));
  const PyRef names = PyRef::steal(PyObject_GetAttrString(module, "__dict__"));
  const std::string_view path = file ? ascii(file.get()) : std::string_view();
  const PyRef code = path.empty() || !names ? PyRef() : load_code(file.get(), std::string(path));
  if (!code) {
    PyErr_Clear();
    return PyObject_CallMethod(self, "exec_module", "O", module);
  }
  return PyObject_CallFunctionObjArgs(parts->call, parts->exec, code.get(), names.get(), nullptr);
}

PyMethodDef find_spec_definition = {
    "find_spec", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(find_spec)),
    METH_FASTCALL, nullptr};
PyMethodDef exec_module_definition = {"exec_module", exec_module, METH_VARARGS, nullptr};

// A subclass that differs in nothing but `exec_module`, its name included.
PyRef make_quick_loader(PyObject* source_loader) {
  const PyRef function = PyRef::steal(PyCFunction_New(&exec_module_definition, nullptr));
  const PyRef method = function ? PyRef::steal(PyInstanceMethod_New(function.get())) : PyRef();
  if (!method) return {};
  return PyRef::steal(PyObject_CallFunction(
      reinterpret_cast<PyObject*>(Py_TYPE(source_loader)), "s(O){sOss}", "SourceFileLoader",
      source_loader, "exec_module", method.get(), "__module__", "_frozen_importlib_external"));
}

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
  const char* tag = PyImport_GetMagicTag();
  if (!machinery || !bootstrap || !builtins || tag == nullptr) return nullptr;
  auto take = [](const PyRef& module, const char* name) {
    return PyRef::steal(PyObject_GetAttrString(module.get(), name));
  };
  PyRef spec_class = take(bootstrap, "ModuleSpec");
  PyRef call = take(bootstrap, "_call_with_frames_removed");
  PyRef exec = take(builtins, "exec");
  PyRef finder = take(machinery, "FileFinder");
  PyRef source = take(machinery, "SourceFileLoader");
  PyRef quick = source ? make_quick_loader(source.get()) : PyRef();
  Parts made{};
  PyRef loaders = quick ? list_loaders(machinery, source.get(), made) : PyRef();
  if (!spec_class || !call || !exec || !finder || !loaders) return nullptr;
  made.cached_end = std::string(".") + tag + ".pyc";
  made.spec_class = spec_class.release();
  made.call = call.release();
  made.exec = exec.release();
  made.file_finder = finder.release();
  made.source_loader = source.release();
  made.quick_loader = quick.release();
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
