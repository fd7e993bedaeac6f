// records.h: log records of workers, on their way to the driver's logging.
//
//   worker     logging --mark base64 "\n"--> its stderr  (pyhost._records; long ones in more lines)
//   host       draining thread: take_records --> queue
//   host       courier thread, with the GIL: queue --> pyhost._records.handle
//
// On the same way a worker asks for the driver's resource tracker (pyhost._tracker).
//
// Through the pipe of stderr, so that what a worker logged before it crashed arrives, in the order
// of what it printed. Not on the draining thread, which must wait neither for the GIL nor for a
// lock of logging.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

namespace pyhost::driver {

// What a record begins with; workers inherit it. Drawn at random for every process but forked
// copies, because the driver unpickles what follows: text from anywhere that a task prints must not
// pass for a record. Empty where there is nothing random: no records then.
std::string_view record_mark();

// Lines of stderr without the records among them. `deliver`: those are delivered. Any thread,
// without the GIL.
std::string take_records(std::string_view lines, bool deliver);

// Waits until what was taken so far is delivered, at most a second: a handler may wait for a lock
// of the caller. Not at all while there can be no thread that delivers. Requires: the GIL, which is
// given away.
void await_records();

// As await_records, and from then on nothing is delivered: an interpreter that ends must find no
// thread on its way into it. Records that the driver's handlers did not take in time are lost.
void end_records();

}  // namespace pyhost::driver
