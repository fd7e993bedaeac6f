// error.h: the one way pyhost says that something did not work.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pyhost/export.h>

namespace pyhost {

// What went wrong, grouped by whose remedy it is. Closed: the same names stand in the Python
// exceptions and in the command's `"kind"`.
enum class Code : std::uint8_t {
  python_error,         // the function raised: fix the function
  worker_crashed,       // its process died: see `signal`, `exit_code`, `stderr_tail`
  timeout,              // the deadline passed: raise it, or fix the function
  memory,               // the memory cap was reached
  cpu,                  // the CPU cap was reached
  cancelled,            // somebody cancelled it, or the pool is closed
  marshal,              // a value cannot cross: the message names its path
  startup,              // the script or the interpreter cannot start: lists what was tried
  violation,            // the sandbox refused an act
  sandbox_unavailable,  // a required sandbox layer is missing on this machine
  backpressure,         // the budget of the pool is spent: wait, or raise it
  protocol,             // a worker broke the protocol and was replaced: report it
};

// The code's name as users see it in `"kind"`: `exception`, `crashed`, `timeout`, ...
PYHOST_EXPORT std::string_view kind_name(Code code);

// One line of a Python traceback, outermost call first.
struct Frame {
  std::string file;
  int line = 0;
  std::string function;
  std::string text;  // the source line, when Python knew it
};

// A failure. A value inside the library; thrown only by `call`, `Future::get` and
// `value_or_throw`.
//
// Threads: as a plain value.
class PYHOST_EXPORT Error : public std::exception {
 public:
  Error() = default;
  Error(Code why, std::string text) : code(why), message(std::move(text)) {}

  // Names the Python type, the message and the innermost place, in one line.
  const char* what() const noexcept override;

  Code code = Code::python_error;
  std::string type;                    // Python type, e.g. `ValueError`; empty when not Python's
  std::string message;                 // what happened, with which value, what to do
  std::string traceback;               // as Python prints it; empty when there is none
  std::vector<Frame> frames;           // outermost first
  std::shared_ptr<const Error> cause;  // `__cause__`, or `__context__` unless suppressed
  int worker = -1;                     // worker number, -1 when none was involved
  int signal = 0;                      // signal that ended the worker, 0 when none did
  int exit_code = -1;                  // its exit status, -1 when it did not exit
  std::string stderr_tail;             // the last lines the worker wrote to stderr
  std::string stack;              // Python stack of a worker that was killed, or died; may be empty
  std::string likely_cause;       // of a worker's death, in words; may be empty
  std::string call;               // the function, and its arguments where they are text, cut
  double seconds = 0;             // how long the call had run
  std::uint64_t peak_memory = 0;  // most bytes its worker ever held; 0: not known
  int attempts = 1;               // how often it was run

 private:
  mutable std::string what_;
};

}  // namespace pyhost
