// map_iterator.h: the lazy, ordered results of a map, as a Python iterator.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <driver/handle.h>
#include <driver/map_input.h>
#include <wire/layout.h>

#include <cstdint>
#include <memory>

namespace pyhost::driver {

struct MapSettings {
  std::uint32_t function = 0;
  wire::Style style = wire::Style::value;
  std::uint32_t count = 0;  // items per batch; 0: what takes about a millisecond
  std::uint32_t ahead = 0;  // items pulled and not yet yielded; 0: the default bound
  base::Deadline deadline = base::Deadline::never();  // for every result
};

// A new iterator; the first items are under way when it is returned. Null with an exception set.
PyObject* make_map_iterator(const std::shared_ptr<EngineHandle>& handle, MapInput input,
                            const MapSettings& settings);

// Adds the type MapIterator.
bool add_map_type(PyObject* module);

}  // namespace pyhost::driver
