// core_target.h: runs a script, module or command in this interpreter as `python` would run it.
#pragma once

#include <Python.h>

#include <string>

#include <python/ref.h>

namespace pyhost::image {

// What `pyhost run` was asked to run, under the executable image.
struct Target {
  std::string mode;         // "file", "module" or "command"
  python::PyRef name;       // str: the file ("-" for stdin), module or command
  python::PyRef arguments;  // list of str: what follows it in sys.argv
};

// Runs it to the end of the process: sys.argv, sys.orig_argv, sys.path[0], `__main__`, tracebacks,
// messages and exit status are those of `python`. Requires: `__main__` is fresh, sys.argv is still
// that of the boot line.
[[noreturn]] void run_target(const Target& target);

}  // namespace pyhost::image
