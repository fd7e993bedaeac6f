// streams.h: the standard streams of an interpreter.
#pragma once

namespace pyhost::python {

// Writes out what sys.stdout and sys.stderr hold back. Requires: the GIL. What they raise is
// dropped.
void flush_streams();

}  // namespace pyhost::python
