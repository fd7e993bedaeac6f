// image.cc: which of the two ways to bring up CPython suits an interpreter.
#include <process/python.h>
#include <unistd.h>

namespace pyhost::process {
namespace {

// "3.11", "3.13t": what the library's and the package's names carry.
std::string library_version(const Python& python) {
  const std::string minor =
      std::to_string(python.hex >> 24) + "." + std::to_string((python.hex >> 16) & 0xff);
  return minor + (python.tag.ends_with('t') ? "t" : "");
}

std::string remedy_for_missing_library(const Python& python) {
  if (python.base_executable.starts_with("/usr/bin/")) {
    return "install the package `libpython" + library_version(python) +
           "` (Debian's name), or use --image executable";
  }
  return "use --image executable, or a Python built with --enable-shared";
}

}  // namespace

std::string_view image_name(Image image) {
  switch (image) {
    case Image::automatic:
      return "auto";
    case Image::libpython:
      return "libpython";
    case Image::executable:
      return "executable";
  }
  return "unknown";
}

Result<ImageChoice> choose_image(const Python& python, Image wanted) {
  const bool can_execute = access(python.executable.c_str(), X_OK) == 0;
  const std::string name = "`" + python.executable + "` (" + python.version + ")";
  if (wanted == Image::libpython) {
    if (!python.libpython.empty()) return ImageChoice{Image::libpython, "asked for"};
    return Error(Code::startup, "image `libpython` is not possible for " + name +
                                    ": its shared library libpython" + library_version(python) +
                                    ".so was not found; " + remedy_for_missing_library(python));
  }
  if (wanted == Image::executable) {
    if (can_execute) return ImageChoice{Image::executable, "asked for"};
    return Error(Code::startup, "image `executable` is not possible for " + name +
                                    ": the file cannot be executed; use --image libpython");
  }
  if (python.links_libpython && !python.libpython.empty()) {
    return ImageChoice{Image::libpython,
                       "the interpreter itself runs on `" + python.libpython + "`"};
  }
  if (can_execute) {
    return ImageChoice{Image::executable,
                       "the interpreter is built into the executable, which runs faster than a "
                       "shared library"};
  }
  if (!python.libpython.empty()) {
    return ImageChoice{Image::libpython, "`" + python.executable + "` cannot be executed"};
  }
  return Error(Code::startup, name + " can neither be executed nor has a shared library");
}

}  // namespace pyhost::process
