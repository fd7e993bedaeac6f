// byte_code.h: what Python has compiled of a source file before.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include <python/ref.h>

namespace pyhost::python {

// Where the byte code of a source file is, as importlib.util.cache_from_source has it without -O
// and a prefix. Requires: the name ends with .py.
std::string byte_code_path(std::string_view file);

// The code of a source file, when there is byte code that the import system would take: of the
// time and size that the source has now (PEP 552), compiled under this name. Else nothing, maybe
// with an exception set. `path` is `file` in bytes. Needs the GIL.
PyRef load_byte_code(PyObject* file, const std::string& path);

}  // namespace pyhost::python
