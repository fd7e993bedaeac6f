// core_image.h: how an interpreter image enters the core.
//
// The libpython image calls the two functions at the end, which bring CPython up; the executable
// image imports the core and calls `boot`, which finds CPython running.
#pragma once

#include <Python.h>

#include <string>

#include <pyhost/export.h>

namespace pyhost::image {

// `boot` and `run_options`, for the module in core.cc.
PyMethodDef* methods();

// Empty when the running libpython is of the version this core was built for; else a sentence with
// both versions. PyConfig and object layouts differ between minor versions without any other error.
// May be called before Python is initialized.
std::string version_mismatch();

// Makes the loaded core importable as `_pyhost_core`. False with an exception set.
bool register_core();

// What `pyhost run` was told, as JSON text; kept for `run_options`.
void keep_run_options(std::string json);

// From now on the pools that the options name ("adopt"; all when it is absent) run on pyhost: their
// classes are replaced when their modules are imported. False with an exception set. Requires: the
// package finder, the GIL.
bool adopt_imports(const std::string& options);

// From now on SIGUSR1 prints the Python stacks of this process and of every worker to stderr,
// unless the parent made this process ignore it. Requires: the GIL, the main thread.
void report_on_signal();

}  // namespace pyhost::image

extern "C" {
// The whole life of a zygote under the libpython image. Returns an exit status only when Python
// cannot be brought up; the host has been told then. `flags`: for the command line, a null behind
// them.
PYHOST_EXPORT int pyhost_core_zygote(const char* python, int control, char** flags);

// Becomes `python argv[1]...` with `import pyhost` available. Returns its exit status.
PYHOST_EXPORT int pyhost_core_run(const char* packages, const char* options, const char* python,
                                  int argc, char** argv);
}
