// streams.h: the standard streams of the process that has pools.
#pragma once

#include <Python.h>
#include <python/streams.h>

#include <string_view>

namespace pyhost::driver {

// So that what stands in the buffers of sys.stdout and sys.stderr comes before what workers print.
using python::flush_streams;

// Takes the numbers 0 to 2 where they are closed, as a daemon may leave them: a pool would have its
// own descriptors there. For the script, and for processes that it starts, they stay closed.
// Requires: the GIL.
void occupy_closed_streams();

// Prints on descriptor 1 or 2. Not where it was closed when Python started and is now a file of the
// script's own. Any thread, without the GIL.
void print(int fd, std::string_view text);

}  // namespace pyhost::driver
