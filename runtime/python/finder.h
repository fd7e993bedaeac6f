// finder.h: objects for sys.meta_path whose `find_spec` is a C function.
#pragma once

#include <Python.h>

#include <python/ref.h>

namespace pyhost::python {

// What the import system asks of a finder. Borrowed; `path` is None for a top-level module.
struct Sought {
  PyObject* name = nullptr;
  PyObject* path = nullptr;
};

// The arguments of find_spec(fullname, path=None, target=None). False with an exception set.
bool read_sought(PyObject* arguments, PyObject* keywords, Sought& sought);

// A module of that name with the function `find_spec`, which is all the import system asks for; its
// flags are METH_VARARGS | METH_KEYWORDS. `definition` lives as long as the process; `self` is what
// the function gets, or null. Null with an exception set. Needs the GIL.
PyRef make_finder(const char* name, PyMethodDef* definition, PyObject* self = nullptr);

// A definition of `find_spec` for make_finder.
using FindSpec = PyObject* (*)(PyObject* self, PyObject* arguments, PyObject* keywords);
PyMethodDef find_spec_method(FindSpec function);

}  // namespace pyhost::python
