// item.h: one call's arguments as the bytes of a batch.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

#include <string>

namespace pyhost::driver {

// Appends `value` to a batch's payload, as a pickle item behind its length. What is not plain goes
// through `dumps` (pyhost._pickling). False with an exception set; the payload is as it was then.
bool encode_framed(PyObject* value, PyObject* dumps, std::string& payload);

// The arguments of one call, into `batch`: a tuple, a dict or None, and what `take_context` found,
// or null. False with an exception set.
bool encode_call(PyObject* args, PyObject* kwargs, PyObject* context, PyObject* dumps,
                 pool::Batch& batch);

// The same for arguments as vectorcall passes them, which need no tuple in the simplest case.
bool encode_vector(PyObject* const* args, Py_ssize_t count, PyObject* names, PyObject* context,
                   PyObject* dumps, pool::Batch& batch);

// What vectorcall passes as a tuple and a dict (null without keywords). False with an exception.
bool gather(PyObject* const* args, Py_ssize_t count, PyObject* names, python::PyRef& tuple,
            python::PyRef& dict);

// The definition of a function: the number of a registered one (`codec` is "none"), or its pickle
// as bytes. False with an exception set.
bool read_definition(std::string_view codec, PyObject* definition, wire::Codec& kind,
                     std::string& bytes);

}  // namespace pyhost::driver
