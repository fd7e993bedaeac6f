// load.h: what a zygote imports before it forks workers.
#pragma once

#include <Python.h>

#include <optional>
#include <string>
#include <string_view>

#include <python/ref.h>
#include <worker/functions.h>

namespace pyhost::worker {

// How loading went.
struct LoadReport {
  std::string failure;      // the error as JSON (ErrorPayload's object); empty: all is loaded
  int threads = 1;          // of this process, after loading
  std::string threaded_by;  // the import after which there was more than one; empty: none
};

// Carries out a LoadPlan (its JSON text): sys.path and sys.argv, the modules to preload, then the
// script or module into `loaded`, then a look for the functions. A script is imported as a module
// named after its file, never as `__main__`, so that what it defines can be pickled by name and a
// guarded main part does not run. Needs the GIL; leaves no exception.
LoadReport load(std::string_view plan, Loaded& loaded);

// Of a plan, only what the driver hands down; the rest is there in a snapshot of it. Needs the GIL.
void keep_inheritance_of(std::string_view plan);

// Threads of this process, from /proc.
int count_threads();

// An error of pyhost itself, as the JSON the host expects.
std::string error_json(std::string_view message);

}  // namespace pyhost::worker
