#include <Python.h>
#include <fcntl.h>
#include <marshal.h>
#include <python/byte_code.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include <base/fd.h>

namespace pyhost::python {
namespace {

// PEP 552: magic number, flags (0: checked by time and size of the source), time, size.
struct CodeHeader {
  std::uint32_t magic;
  std::uint32_t flags;
  std::uint32_t seconds;
  std::uint32_t size;
};
static_assert(sizeof(CodeHeader) == 16);

}  // namespace

std::string byte_code_path(std::string_view file) {
  const std::size_t slash = file.rfind('/') + 1;
  std::string path(file.substr(0, slash));
  path += "__pycache__/";
  path += file.substr(slash, file.size() - slash - std::strlen(".py"));
  return path + "." + PyImport_GetMagicTag() + ".pyc";
}

PyRef load_byte_code(PyObject* file, const std::string& path) {
  struct stat source;
  if (stat(path.c_str(), &source) != 0) return {};
  const std::string cached = byte_code_path(path);
  if (PySys_Audit("open", "ssi", cached.c_str(), "r", O_RDONLY | O_CLOEXEC) < 0) return {};
  const base::UniqueFd fd(open(cached.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (!fd || fstat(fd.get(), &info) != 0 ||
      info.st_size <= static_cast<off_t>(sizeof(CodeHeader))) {
    return {};
  }
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  if (read(fd.get(), bytes.data(), bytes.size()) != info.st_size) return {};
  CodeHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != static_cast<std::uint32_t>(PyImport_GetMagicNumber()) || header.flags != 0 ||
      header.seconds != static_cast<std::uint32_t>(source.st_mtime) ||
      header.size != static_cast<std::uint32_t>(source.st_size)) {
    return {};
  }
  const char* data = bytes.data() + sizeof header;
  const auto size = static_cast<Py_ssize_t>(bytes.size() - sizeof header);
  PyRef code = PyRef::steal(PyMarshal_ReadObjectFromString(data, size));
  if (!code || !PyCode_Check(code.get())) return {};
  // Compiled elsewhere, the code names another file: importlib has the means to change that.
  const PyRef named = PyRef::steal(PyObject_GetAttrString(code.get(), "co_filename"));
  const bool same = named && PyUnicode_Compare(named.get(), file) == 0;
  return same ? std::move(code) : PyRef();
}

}  // namespace pyhost::python
