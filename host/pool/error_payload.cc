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
constexpr std::size_t kMostBases = 100;

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

// Refuses depth while parsing: destroying a deep tree recurses.
nlohmann::json parse(std::string_view json) {
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= 4 * kMostCauses;
  };
  return nlohmann::json::parse(json.begin(), json.end(), shallow, false);
}

std::string_view json_of(std::string_view payload) {
  std::uint64_t length = 0;
  if (payload.size() < sizeof length) return {};
  std::memcpy(&length, payload.data(), sizeof length);
  payload.remove_prefix(sizeof length);
  return payload.substr(0, std::min<std::uint64_t>(length, payload.size()));
}

}  // namespace

Error error_from_json(std::string_view json, Code code) {
  const nlohmann::json object = parse(json);
  if (!object.is_object()) {
    return Error(Code::protocol, "a worker described a failure in " + std::to_string(json.size()) +
                                     " bytes that are not a JSON object");
  }
  return read_error(object, code, 0);
}

Error error_from_payload(std::string_view payload, Code code) {
  return error_from_json(json_of(payload), code);
}

std::vector<std::string> types_from_payload(std::string_view payload) {
  const nlohmann::json object = parse(json_of(payload));
  std::vector<std::string> types;
  if (!object.is_object()) return types;
  types.push_back(text(object, "type"));
  const auto bases = object.find("bases");
  if (bases == object.end() || !bases->is_array()) return types;
  for (std::size_t i = 0; i < std::min(bases->size(), kMostBases); ++i) {
    if ((*bases)[i].is_string()) types.push_back((*bases)[i].get<std::string>());
  }
  return types;
}

Error Outcome::error() const {
  if (!raised) return failure ? *failure : Error(Code::protocol, "no reason was given");
  Error error = error_from_payload(payload, marshal ? Code::marshal : Code::python_error);
  error.worker = worker;
  error.attempts = attempts;
  return error;
}

}  // namespace pyhost::pool
