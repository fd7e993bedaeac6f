#include <Python.h>
#include <python/finder.h>

namespace pyhost::python {

bool read_sought(PyObject* arguments, PyObject* keywords, Sought& sought) {
  static const char* names[] = {"fullname", "path", "target", nullptr};
  PyObject* target = nullptr;
  sought.path = Py_None;
  return PyArg_ParseTupleAndKeywords(arguments, keywords, "O|OO:find_spec",
                                     const_cast<char**>(names), &sought.name, &sought.path,
                                     &target) != 0;
}

PyRef make_finder(const char* name, PyMethodDef* definition, PyObject* self) {
  PyRef finder = PyRef::steal(PyModule_New(name));
  const PyRef function = PyRef::steal(PyCFunction_New(definition, self));
  if (!finder || !function) return {};
  if (PyObject_SetAttrString(finder.get(), "find_spec", function.get()) < 0) return {};
  return finder;
}

PyMethodDef find_spec_method(FindSpec function) {
  // The documented type of functions with keywords is not that of the field they are stored in.
  return {"find_spec", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
          METH_VARARGS | METH_KEYWORDS, nullptr};
}

}  // namespace pyhost::python
