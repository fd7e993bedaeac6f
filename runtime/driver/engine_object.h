// engine_object.h: `_pyhost_core.Engine`, what an Executor of the package drives.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// Adds the type Engine:
//
//   Engine(*, start, workers, timeout, preload, sys_path, python, image, dumps)
//   define(codec, definition, name) -> int      codec: "none" (a registry number), "pickle" (bytes)
//   submit(type, function, args, kwargs, timeout) -> Task       `type`: Task or a subclass
//   map(function, iterator, star, count, ahead, timeout) -> MapIterator
//   start_drain(), wait_drained(), drained, cancel_queued(), kill()       see EngineHandle
//   stats() -> dict, workers -> int
//
// Timeouts are seconds or None. `dumps(object, buffer_callback) -> bytes` pickles what is not made
// of plain builtins.
bool add_engine_type(PyObject* module);

}  // namespace pyhost::driver
