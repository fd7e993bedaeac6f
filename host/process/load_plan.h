// load_plan.h: what a zygote is to import before it forks workers.
#pragma once

#include <string>
#include <vector>

namespace pyhost::process {

struct LoadPlan {
  std::string script;                  // a file, imported as a module named after it; or
  std::string module;                  // an importable module; or neither
  std::vector<std::string> functions;  // must exist in it (closest name suggested when not)
  std::vector<std::string> preload;    // modules imported before it
  std::vector<std::string> sys_path;   // replaces sys.path when not empty (Python drivers)
  std::vector<std::string> argv;       // sys.argv; the script's path when empty
  std::string folder;                  // to work in; the host's when empty
  std::string inheritance;  // what pyhost._inheritance tells workers; empty without Python
  int threads = 0;          // of BLAS and OpenMP, unless the environment says; 0: leave alone
  std::string packages;     // RuntimeFiles::packages
  std::string core;         // RuntimeFiles::core
};

// The plan as JSON text, keys named as the members; empty ones left out.
std::string to_json(const LoadPlan& plan);

}  // namespace pyhost::process
