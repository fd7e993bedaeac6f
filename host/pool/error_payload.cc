#include <pool/error_payload.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include <pool/engine.h>

namespace pyhost::pool {
namespace {

constexpr int kMostCauses = 16;
constexpr std::size_t kMostFrames = 1000;

// A string member, or "" when it is missing or something else.
std::string text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Error read_error(const nlohmann::json& object, Code code, int depth) {
  Error error;
  error.code = code;
  error.type = text(object, "type");
  error.message = text(object, "message");
  error.traceback = text(object, "traceback");
  const auto frames = object.find("frames");
  if (frames != object.end() && frames->is_array()) {
    for (std::size_t i = 0; i < std::min(frames->size(), kMostFrames); ++i) {
      const nlohmann::json& frame = (*frames)[i];
      if (!frame.is_object()) continue;
      const auto line = frame.find("line");
      const bool number = line != frame.end() && line->is_number_integer();
      error.frames.push_back({.file = text(frame, "file"),
                              .line = number ? line->get<int>() : 0,
                              .function = text(frame, "function"),
                              .text = text(frame, "text")});
    }
  }
  const auto cause = object.find("cause");
  if (cause != object.end() && cause->is_object() && depth < kMostCauses) {
    error.cause = std::make_shared<const Error>(read_error(*cause, code, depth + 1));
  }
  return error;
}

}  // namespace

Error error_from_json(std::string_view json, Code code) {
  // Refuse depth while parsing: destroying a deep tree recurses.
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= 4 * kMostCauses;
  };
  const auto object = nlohmann::json::parse(json.begin(), json.end(), shallow, false);
  if (!object.is_object()) {
    return Error(Code::protocol, "a worker described a failure in " + std::to_string(json.size()) +
                                     " bytes that are not a JSON object");
  }
  return read_error(object, code, 0);
}

Error error_from_payload(std::string_view payload, Code code) {
  std::uint64_t length = 0;
  if (payload.size() < sizeof length) return error_from_json({}, code);
  std::memcpy(&length, payload.data(), sizeof length);
  payload.remove_prefix(sizeof length);
  return error_from_json(payload.substr(0, std::min<std::uint64_t>(length, payload.size())), code);
}

Error Outcome::error() const {
  if (!raised) return failure ? *failure : Error(Code::protocol, "no reason was given");
  Error error = error_from_payload(payload, marshal ? Code::marshal : Code::python_error);
  error.worker = worker;
  return error;
}

}  // namespace pyhost::pool
