// engine_object.h: `_pyhost_core.Engine`, what an Executor of the package drives.
#pragma once

#include <Python.h>
#include <driver/handle.h>

#include <memory>

namespace pyhost::driver {

// Adds the type Engine:
//
//   Engine(*, start, python, image, preload, dumps, settings, limits, initializer, inherited)
//   define(codec, definition, name) -> int      codec: "none" (a registry number), "pickle" (bytes)
//   submit(type, function, args, kwargs, limits) -> Task       `type`: Task or a subclass
//   map(function, iterator, style, count, ahead, timeout, runs_unread, has_end, owner, limits)
//       `style`: items are 0 single arguments, 1 tuples of them, 2 (args, kwargs, context)
//   stream(type, ...)                           a map that goes on after an exception
//   broadcast(function, args, kwargs) -> list, stacks(timeout) -> list, stats() -> dict
//   processes(timeout) -> list, pidfd(pid) -> int, exit_code(pid), end_workers(signal)
//   carry          None, or `pyhost._context.carrier`'s for calls that take the context along
//   start_drain(), wait_drained(), drained, cancel_waiting(), kill()       see EngineHandle
//
// `settings` and `inherited`: dicts, see wanted.cc; `limits`: Limits or None; `initializer`:
// (codec, definition, name, args) or None. Timeouts are seconds or None. `dumps(object,
// buffer_callback)` pickles what is not made of plain builtins, to bytes.
bool add_engine_type(PyObject* module);

// Whether it is an Engine; the others require that. The pickler is borrowed.
bool is_engine(PyObject* object);
const std::shared_ptr<EngineHandle>& handle_of(PyObject* engine);
PyObject* dumps_of(PyObject* engine);
PyObject* carry_of(PyObject* engine);  // what `take_context` calls, borrowed; may be null

}  // namespace pyhost::driver
