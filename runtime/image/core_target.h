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

// Runs it; returns its exit status, unless it ended the process itself. sys.argv, sys.orig_argv,
// sys.path[0], `__main__`, tracebacks, messages and status are those of `python`. Requires:
// `__main__` is fresh, sys.argv is still that of the boot line.
int run_target(const Target& target);

// Whether `python` would show its prompt now: -i, or PYTHONINSPECT set by now, and somebody to ask.
bool prompt_follows();

// Ends as Py_RunMain does: an unhandled KeyboardInterrupt ends the process by SIGINT, so that a
// shell sees it.
[[noreturn]] void finish(int status);

}  // namespace pyhost::image
