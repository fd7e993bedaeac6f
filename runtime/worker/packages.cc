#include <worker/packages.h>

#include <python/finder.h>
#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

constexpr const char* kMarker = "pyhost_packages";

// `packages` is bound as self. Submodules are found through the package's own __path__.
PyObject* find_spec(PyObject* packages, PyObject* arguments, PyObject* keywords) {
  python::Sought sought;
  if (!python::read_sought(arguments, keywords, sought)) return nullptr;
  if (!PyUnicode_Check(sought.name) ||
      PyUnicode_CompareWithASCIIString(sought.name, "pyhost") != 0) {
    Py_RETURN_NONE;
  }
  const PyRef machinery = PyRef::steal(PyImport_ImportModule("_frozen_importlib_external"));
  if (!machinery) return nullptr;
  const PyRef finder = PyRef::steal(PyObject_GetAttrString(machinery.get(), "PathFinder"));
  if (!finder) return nullptr;
  return PyObject_CallMethod(finder.get(), "find_spec", "O[O]", sought.name, packages);
}

PyMethodDef find_spec_definition = python::find_spec_method(find_spec);

bool already_there(PyObject* meta_path) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(meta_path); ++i) {
    if (PyObject_HasAttrString(PyList_GET_ITEM(meta_path, i), kMarker)) return true;
  }
  return false;
}

PyRef make_package_finder(const std::string& packages) {
  const PyRef folder = PyRef::steal(
      PyUnicode_DecodeFSDefaultAndSize(packages.data(), static_cast<Py_ssize_t>(packages.size())));
  if (!folder) return {};
  PyRef finder = python::make_finder("pyhost.packages", &find_spec_definition, folder.get());
  if (!finder || PyObject_SetAttrString(finder.get(), kMarker, folder.get()) < 0) return {};
  return finder;
}

}  // namespace

bool install_package_finder(const std::string& packages) {
  if (packages.empty()) return true;
  PyObject* meta_path = PySys_GetObject("meta_path");  // borrowed
  if (meta_path == nullptr || !PyList_Check(meta_path)) return true;
  if (already_there(meta_path)) return true;
  const PyRef finder = make_package_finder(packages);
  return finder && PyList_Append(meta_path, finder.get()) == 0;
}

}  // namespace pyhost::worker
