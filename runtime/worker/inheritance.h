// inheritance.h: what the driver hands down to its workers besides calls: descriptors, and what its
// `multiprocessing` knows, which theirs is to know too.
#pragma once

#include <Python.h>

#include <string>
#include <vector>

#include <base/fd.h>

namespace pyhost::worker {

// All of this needs the GIL and belongs to the zygote, whose workers have it as it was when they
// were forked.

// More descriptors, behind those that came before; open until the process ends.
void inherit(std::vector<base::UniqueFd> descriptors);

// JSON as `pyhost._inheritance.gather` makes it; empty where the host is no Python.
void keep_inheritance(std::string text);

// Has `multiprocessing` told what it must know as soon as somebody imports it. A worker imports
// nothing for its own sake, and user code may want it at any time, so this is an import hook.
void await_multiprocessing();

// The same at once, in a fresh interpreter, if somebody has imported it already.
void catch_up_with_multiprocessing();

// What `pyhost run` told the driver holds here, too, and the same pools are adopted; if it was told
// anything. False with an exception set. Requires: the package finder.
bool take_run_options();

// Makes this process, a worker, what `multiprocessing` believes to run in. `identity`: counted from
// 1 over all workers of the driver.
void identify_to_multiprocessing(int number, unsigned identity);

// Has the worker's log records sent to the driver, if `logging` is imported; else that waits for
// it.
void send_log_records();

// The warnings filters of the driver, if it told of any. False with an exception set.
bool set_warnings();

// The module of the package that does it, loaded before workers are forked if they will need it.
void prepare_for_multiprocessing();

// `_bootstrap.import_main()`: the main module of the driver, if the driver wants it imported. False
// with an exception set.
bool import_main();

// The Python-visible functions, a null entry at the end.
PyMethodDef* inheritance_methods();

}  // namespace pyhost::worker
