// probe.h: what an interpreter says about itself when it is run and asked.
#pragma once

#include <base/clock.h>
#include <pyhost/result.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pyhost::process {

// The answer of one interpreter, as it gave it.
struct Answer {
  std::string executable;        // sys.executable
  std::string base_executable;   // sys._base_executable; that of `executable` outside a venv
  std::string implementation;    // "cpython"
  std::string version;           // "3.11.2"
  std::uint32_t hex = 0;         // sys.hexversion
  std::string abi_flags;         // "", "t", "d"
  std::string loaded_libpython;  // the shared library it runs on; empty when built in
  std::vector<std::string> libpython_places;  // where its build says the library is, best first
};

// Runs `path` and asks. Error `startup`: it cannot be run, failed (with the end of its stderr), or
// did not answer by `deadline`, in which case it has been killed.
Result<Answer> ask_interpreter(const std::string& path, base::Deadline deadline);

// The folder `import pyhost` takes the package from when `path` runs by itself, in this environment
// and elsewhere than in a folder that holds one; empty: it finds none. Nothing is imported. Errors
// as above.
Result<std::string> ask_for_package(const std::string& path, base::Deadline deadline);

}  // namespace pyhost::process
