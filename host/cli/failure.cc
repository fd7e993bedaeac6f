// failure.cc: one block per failure.
#include <cli/failure.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace pyhost::cli {
namespace {

// Far above CPython's own limits for chains; a hostile worker could nest without end.
constexpr int kLongestCauseChain = 32;

void append_indented(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += "  ";
    out += text.substr(0, end);
    out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

nlohmann::ordered_json to_json(const Error& error, int depth) {
  nlohmann::ordered_json json = {{"kind", kind_name(error.code)}};
  if (!error.type.empty()) json["type"] = error.type;
  json["message"] = error.message;
  if (!error.traceback.empty()) json["traceback"] = error.traceback;
  if (!error.frames.empty()) json["frames"] = nlohmann::ordered_json::array();
  for (const Frame& frame : error.frames) {
    json["frames"].push_back({{"file", frame.file},
                              {"line", frame.line},
                              {"function", frame.function},
                              {"text", frame.text}});
  }
  if (error.cause && depth < kLongestCauseChain) json["cause"] = to_json(*error.cause, depth + 1);
  if (error.worker >= 0) json["worker"] = error.worker;
  if (error.signal != 0) json["signal"] = error.signal;
  if (error.exit_code >= 0) json["exit_code"] = error.exit_code;
  if (!error.stderr_tail.empty()) json["stderr"] = error.stderr_tail;
  return json;
}

}  // namespace

std::string headline(const Error& error) {
  std::string message = error.message.substr(0, error.message.find('\n'));
  if (error.type.empty()) return message;
  return message.empty() ? error.type : error.type + ": " + message;
}

std::string details(const Error& error) {
  std::string text;
  // A traceback of one line (a value that cannot cross has no frames) is the headline again.
  const std::size_t first_end = error.traceback.find('\n');
  if (first_end != std::string::npos && first_end + 1 < error.traceback.size()) {
    append_indented(error.traceback, text);
    return text;
  }
  const std::size_t more = error.message.find('\n');
  if (more != std::string::npos)
    append_indented(std::string_view(error.message).substr(more + 1), text);
  if (!error.stderr_tail.empty()) {
    text += "  the last lines it wrote to stderr:\n";
    std::string tail;
    append_indented(error.stderr_tail, tail);
    append_indented(tail, text);
  }
  return text;
}

std::string startup_block(const Error& error) {
  return "pyhost: cannot start: " + headline(error) + "\n" + details(error);
}

std::string error_json(const Error& error) {
  return to_json(error, 0).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pyhost::cli
