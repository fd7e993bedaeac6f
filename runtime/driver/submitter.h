// submitter.h: `_pyhost_core.Submitter`, the base of what has a `submit`.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// Adds the type Submitter:
//
//   submit(fn, /, *args, **kwargs) -> future
//   _bind(engine, known, type, limits)      what `submit` needs to do without Python code
//
// `known`: a dict from id(function) to Known; `type`: of the futures; `limits`: Limits or None.
//
// Why here: in Python `submit` cost as much as everything below it. It does by itself what has
// become routine, calls of functions whose number is known; the rest, the first call included, is
// the subclass's `_submit(fn, args, kwargs)`.
bool add_submitter_type(PyObject* module);

}  // namespace pyhost::driver
