// error_payload.h: what a worker says of a failure, read strictly (host/wire/layout.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <pyhost/error.h>

namespace pyhost::pool {

// The JSON object of an ErrorPayload. Never fails: text that is no such object becomes an error
// of code `protocol` that says so. Depth and sizes are bounded.
Error error_from_json(std::string_view json, Code code);

// A whole ErrorPayload.
Error error_from_payload(std::string_view payload, Code code);

// The exception's class and its bases, as an ErrorPayload names them.
std::vector<std::string> types_from_payload(std::string_view payload);

}  // namespace pyhost::pool
