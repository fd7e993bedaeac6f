// known.h: what a pool knows of a function: its number, and whether that still fits.
#pragma once

#include <Python.h>

#include <cstdint>

namespace pyhost::driver {

// Adds the type Known(reference, number, watch), immutable:
//
// reference: a weak reference to the function, or itself when it is there for ever
// number: of its definition; None: it was seen once and has none yet
// watch: a pyhost._main.Watch, or None when the number fits whatever happens
bool add_known_type(PyObject* module);

// Whether `known` is a Known with a number for `function` as it is now. Requires: the GIL. Runs no
// Python code, and leaves no exception.
bool number_of(PyObject* known, PyObject* function, std::uint32_t& number);

}  // namespace pyhost::driver
