#include <worker/packages.h>

#include <cstring>

#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

constexpr const char* kMarker = "pyhost_packages";

// find_spec(name, path=None, target=None); `packages` is bound as self. Submodules are found
// through the package's own __path__.
PyObject* find_spec(PyObject* packages, PyObject* args) {
  PyObject* name = nullptr;
  PyObject* path = nullptr;
  PyObject* target = nullptr;
  if (!PyArg_ParseTuple(args, "U|OO:find_spec", &name, &path, &target)) return nullptr;
  if (PyUnicode_CompareWithASCIIString(name, "pyhost") != 0) Py_RETURN_NONE;
  const PyRef machinery = PyRef::steal(PyImport_ImportModule("_frozen_importlib_external"));
  if (!machinery) return nullptr;
  const PyRef finder = PyRef::steal(PyObject_GetAttrString(machinery.get(), "PathFinder"));
  if (!finder) return nullptr;
  return PyObject_CallMethod(finder.get(), "find_spec", "O[O]", name, packages);
}

PyMethodDef find_spec_definition = {"find_spec", find_spec, METH_VARARGS, nullptr};

bool already_there(PyObject* meta_path) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(meta_path); ++i) {
    if (PyObject_HasAttrString(PyList_GET_ITEM(meta_path, i), kMarker)) return true;
  }
  return false;
}

// A namespace with the one function the import system asks for.
PyRef make_finder(const std::string& packages) {
  const PyRef folder = PyRef::steal(
      PyUnicode_DecodeFSDefaultAndSize(packages.data(), static_cast<Py_ssize_t>(packages.size())));
  if (!folder) return {};
  const PyRef function = PyRef::steal(PyCFunction_New(&find_spec_definition, folder.get()));
  const PyRef types = PyRef::steal(PyImport_ImportModule("sys"));
  if (!function || !types) return {};
  // type(sys.implementation) is types.SimpleNamespace, without importing `types`.
  const PyRef sample = PyRef::steal(PyObject_GetAttrString(types.get(), "implementation"));
  if (!sample) return {};
  PyRef finder = PyRef::steal(
      PyObject_CallObject(reinterpret_cast<PyObject*>(Py_TYPE(sample.get())), nullptr));
  if (!finder || PyObject_SetAttrString(finder.get(), "find_spec", function.get()) < 0 ||
      PyObject_SetAttrString(finder.get(), kMarker, folder.get()) < 0) {
    return {};
  }
  return finder;
}

}  // namespace

bool install_package_finder(const std::string& packages) {
  if (packages.empty()) return true;
  PyObject* meta_path = PySys_GetObject("meta_path");  // borrowed
  if (meta_path == nullptr || !PyList_Check(meta_path)) return true;
  if (already_there(meta_path)) return true;
  const PyRef finder = make_finder(packages);
  return finder && PyList_Append(meta_path, finder.get()) == 0;
}

}  // namespace pyhost::worker
