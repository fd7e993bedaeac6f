// records.h: log records of workers, on their way to the driver's logging.
//
//   worker: logging --0x1e "pyhost-record " base64 "\n"--> its stderr (pyhost._records)
//   draining thread: take_records --> queue --> courier thread, with the GIL -->
//   pyhost._records.handle
//
// Through stderr, so that what a worker logged before it crashed arrives, in the order of what it
// printed. Not on the draining thread, which must wait neither for the GIL nor for a lock of
// logging.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

namespace pyhost::driver {

// Lines of stderr without the records among them. `deliver`: those are delivered. Any thread,
// without the GIL.
std::string take_records(std::string_view lines, bool deliver);

// Waits until what was taken so far is delivered, at most a second: a handler may wait for a lock
// of the caller. Requires: the GIL, which is given away.
void await_records();

}  // namespace pyhost::driver
