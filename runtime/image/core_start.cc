// core_start.cc: brings CPython up inside the launcher's process: the libpython image.
#include <Python.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <image/core_image.h>
#include <process/control.h>
#include <python/errors.h>
#include <python/json.h>
#include <python/ref.h>
#include <worker/packages.h>
#include <worker/worker.h>

namespace pyhost::image {
namespace {

using python::PyRef;

constexpr int kHostFailed = 255;

struct Config {
  Config() { PyConfig_InitPythonConfig(&value); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;
  ~Config() { PyConfig_Clear(&value); }
  PyConfig value;
};

// Initializes CPython as `argv[0] argv[1]...` would. Why `executable` is set: without it CPython
// takes the first python3 on PATH for itself, and venvs are not seen.
PyStatus initialize(const char* python, int argc, char** argv) {
  Config config;
  PyConfig& value = config.value;
  value.parse_argv = argc > 1 ? 1 : 0;
  PyStatus status = PyConfig_SetBytesArgv(&value, argc, argv);
  if (!PyStatus_Exception(status)) {
    status = PyConfig_SetBytesString(&value, &value.executable, python);
  }
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&value);
  return status;
}

void report_failed_start(int control, const std::string& message) {
  std::string json = R"({"type": "", "message": ")";
  for (const char c : message) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  (void)process::send_control(control, {.kind = process::ControlKind::failed}, json + "\"}");
}

std::string describe(const char* python, const PyStatus& status) {
  return std::string("cannot initialize Python for `") + python +
         "`: " + (status.err_msg != nullptr ? status.err_msg : "unknown error") +
         "; check PYTHONHOME and PYTHONPATH, or use --image executable";
}

// What `import pyhost` needs; part of bringing the interpreter up for a script.
bool prepare(const char* packages, const char* options) {
  keep_run_options(options);
  if (!register_core() || !worker::install_package_finder(packages) || !adopt_imports(options)) {
    return false;
  }
  report_on_signal();
  return true;
}

}  // namespace
}  // namespace pyhost::image

using pyhost::image::describe;

extern "C" int pyhost_core_zygote(const char* python, int control, char** flags) {
  if (const std::string mismatch = pyhost::image::version_mismatch(); !mismatch.empty()) {
    pyhost::image::report_failed_start(control, mismatch);
    return 1;
  }
  std::string program = python;
  std::vector<char*> argv = {program.data()};
  for (char** flag = flags; *flag != nullptr; ++flag) argv.push_back(*flag);
  const PyStatus status =
      pyhost::image::initialize(python, static_cast<int>(argv.size()), argv.data());
  if (PyStatus_Exception(status)) {
    pyhost::image::report_failed_start(control, describe(python, status));
    return 1;
  }
  if (!pyhost::image::register_core()) {
    (void)pyhost::process::send_control(control, {.kind = pyhost::process::ControlKind::failed},
                                        pyhost::python::take_error_json("loading the core"));
    return 1;
  }
  pyhost::worker::run_zygote(control, false);
}

extern "C" int pyhost_core_run(const char* packages, const char* options, const char* python,
                               int argc, char** argv) {
  if (const std::string mismatch = pyhost::image::version_mismatch(); !mismatch.empty()) {
    std::fprintf(stderr, "pyhost: %s\n", mismatch.c_str());
    return pyhost::image::kHostFailed;
  }
  const PyStatus status = pyhost::image::initialize(python, argc, argv);
  if (PyStatus_IsExit(status)) return status.exitcode;  // --version, --help, a wrong flag
  if (PyStatus_Exception(status)) {
    std::fprintf(stderr, "pyhost: %s\n", describe(python, status).c_str());
    return pyhost::image::kHostFailed;
  }
  if (!pyhost::image::prepare(packages, options)) {
    PyErr_Print();
    return pyhost::image::kHostFailed;
  }
  return Py_RunMain();
}
