// python.h: finding an interpreter and what has to be known about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <pyhost/result.h>

namespace pyhost::process {

// One CPython, as it described itself.
struct Python {
  std::string executable;        // sys.executable of the chosen interpreter (a venv's own)
  std::string base_executable;   // sys._base_executable: where its standard library belongs
  std::string version;           // "3.11.2"
  std::uint32_t hex = 0;         // sys.hexversion
  std::string tag;               // "cp311", with ABI flags, e.g. "cp313t"
  std::string libpython;         // path of the shared library, empty when there is none
  bool links_libpython = false;  // the executable itself is linked to it
};

// `which`: an interpreter's path, a venv's folder, or a version such as "3.11"; empty for
// $VIRTUAL_ENV, then `python3` on PATH. Version-manager shims are resolved. What an interpreter
// said is cached by path, inode and mtime in $XDG_CACHE_HOME/pyhost. Error `startup`: lists all
// that was tried.
Result<Python> find_python(std::string_view which);

// Interpreters of this machine, for `doctor`: the default one, those on PATH, those of cores.
std::vector<Python> known_pythons();

enum class Image : std::uint8_t { automatic, libpython, executable };

// The image to bring up, never `automatic`, and why.
struct ImageChoice {
  Image image = Image::executable;
  std::string reason;
};
// Error `startup` when `wanted` is not possible for this interpreter.
Result<ImageChoice> choose_image(const Python& python, Image wanted);
std::string_view image_name(Image image);

// What belongs to pyhost and lies beside the library: build tree and installation look the same.
struct RuntimeFiles {
  std::string launcher;  // lib/pyhost/pyhost-worker
  std::string core;      // lib/pyhost/pyhost-core-cp311.so
  std::string packages;  // lib/pyhost/python: the folder that holds the package `pyhost`
};
// Looks at $PYHOST_RUNTIME_DIR, then beside the code that asks. Error `startup`: no core for this
// version; names the versions there are cores for.
Result<RuntimeFiles> find_runtime_files(const Python& python);
std::vector<std::string> available_cores();  // tags

}  // namespace pyhost::process
