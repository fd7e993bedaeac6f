// output.h: what a worker's Python writes to stdout and stderr: whole lines, and noticed.
#pragma once

#include <Python.h>

#include <string_view>

#include <base/fd.h>
#include <python/streams.h>

namespace pyhost::worker {

// Replaces sys.stdin, sys.stdout and sys.stderr by line-buffered streams over descriptors 0, 1 and
// 2 that remember when something was written. Does it once per process tree: a second call only
// makes sure. A stream that user code has put in place of Python's own stays. Best effort: what
// cannot be made keeps what was there. Needs the GIL.
void install_streams();

// Remembers what descriptor 1 is, before it becomes something else.
void keep_stdout();

// While it lives, descriptor 1 is what `keep_stdout` remembered. Once: afterwards that is closed,
// since workers must not keep the driver's output open. Needs the GIL.
class WithStdout {
 public:
  WithStdout();
  WithStdout(const WithStdout&) = delete;
  WithStdout& operator=(const WithStdout&) = delete;
  ~WithStdout();

 private:
  base::UniqueFd now_;
};

// Remembers `fd`, which is to be this worker's descriptor 2, for `write_marked`.
void keep_stderr(int fd);

// Writes to what `keep_stderr` remembered, wherever user code has led descriptor 2 since, in one
// piece among what else Python writes there in this process. False: it is not to be had any more,
// or nobody reads it. Needs the GIL, which is given away.
bool write_marked(std::string_view bytes);

// Whether something was written since the last call of this function.
bool take_printed();

using python::flush_streams;

}  // namespace pyhost::worker
