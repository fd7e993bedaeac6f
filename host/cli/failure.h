// failure.h: failures as text for people and as JSON for programs.
#pragma once

#include <pyhost/error.h>

#include <string>
#include <string_view>

namespace pyhost::cli {

// "ValueError: not a number" or, when Python was not involved, the message: always one line.
std::string headline(const Error& error);

// What is worth reading below it, each line indented by two spaces: of a call that did not end by
// itself the likely cause and the circumstances (arguments, time, memory, attempts); then the
// traceback as Python prints it, or the rest of a long message, where Python was, and the last
// lines of stderr.
std::string details(const Error& error);

// The block for a pool that cannot start. A failure while loading shows Python's own traceback.
std::string startup_block(const Error& error);

// {"kind", "type", "message", "traceback", "frames", "cause", "worker", "signal", "exit_code",
// "likely_cause", "call", "seconds", "peak_memory" (bytes), "attempts", "stack", "stderr"}; what is
// not known is left out.
std::string error_json(const Error& error);

}  // namespace pyhost::cli
