// engine_object.h: `_pyhost_core.Engine`, what an Executor of the package drives.
#pragma once

#include <Python.h>
#include <driver/handle.h>

#include <memory>

namespace pyhost::driver {

// Adds the type Engine:
//
//   Engine(*, start, python, image, preload, sys_path, dumps, settings, limits, initializer)
//   define(codec, definition, name) -> int      codec: "none" (a registry number), "pickle" (bytes)
//   submit(type, function, args, kwargs, limits) -> Task       `type`: Task or a subclass
//   map(function, iterator, star, count, ahead, timeout, runs_unread, has_end, owner, limits)
//   broadcast(function, args, kwargs) -> list, stacks(timeout) -> list, stats() -> dict
//   start_drain(), wait_drained(), drained, cancel_queued(), kill()       see EngineHandle
//
// `settings`: a dict, see wanted.cc; `limits`: Limits or None; `initializer`: (definition, name,
// args) or None. Timeouts are seconds or None. `dumps(object, buffer_callback) -> bytes` pickles
// what is not made of plain builtins.
bool add_engine_type(PyObject* module);

// Whether it is an Engine; the others require that. The pickler is borrowed.
bool is_engine(PyObject* object);
const std::shared_ptr<EngineHandle>& handle_of(PyObject* engine);
PyObject* dumps_of(PyObject* engine);

}  // namespace pyhost::driver
