// map_iterator.h: the lazy, ordered results of a map, as a Python iterator.
#pragma once

#include <Python.h>
#include <driver/map.h>

#include <memory>

namespace pyhost::driver {

// A new iterator; the first items are under way when it is returned. Null with an exception set.
// `owner` closes the engine when it is dropped: the iterator keeps it while there is input.
// `type`: of the iterator, derived from MapIterator; null: that itself. One of a map that goes on
// has a method `_failure(exception)`, which returns what is to be raised instead.
PyObject* make_map_iterator(const std::shared_ptr<EngineHandle>& handle, MapInput input,
                            const MapSettings& settings, PyObject* owner,
                            PyTypeObject* type = nullptr);

// The type MapIterator, borrowed.
PyTypeObject* map_iterator_type();

// Adds the type MapIterator.
bool add_map_type(PyObject* module);

}  // namespace pyhost::driver
