// failure.cc: one block per failure.
#include <cli/failure.h>
#include <cli/text.h>
#include <pool/words.h>

#include <nlohmann/json.hpp>

namespace pyhost::cli {
namespace {

// Far above CPython's own limits for chains; a hostile worker could nest without end.
constexpr int kLongestCauseChain = 32;

void append_section(std::string_view title, std::string_view lines, std::string& out) {
  if (lines.empty()) return;
  std::string indented;
  append_indented(lines, indented);
  append_indented(title, out);
  append_indented(indented, out);
}

// Whether the function did not end by itself: then what it was doing is not in a traceback.
bool ended_from_outside(Code code) {
  return code == Code::worker_crashed || code == Code::timeout || code == Code::memory ||
         code == Code::cpu;
}

// "load(3); ran 4.2 s; its worker held at most 511.8 MiB; attempt 2".
std::string circumstances(const Error& error) {
  std::string text;
  const auto add = [&text](const std::string& fact) { text += (text.empty() ? "" : "; ") + fact; };
  if (ended_from_outside(error.code)) {
    if (!error.call.empty()) add(error.call.substr(0, error.call.find('\n')));
    if (error.seconds > 0) add("ran " + pool::elapsed_text(error.seconds));
    if (error.peak_memory > 0)
      add("its worker held at most " + pool::bytes_text(error.peak_memory));
  }
  if (error.attempts > 1) add("this was attempt " + std::to_string(error.attempts));
  return text;
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
  if (!error.likely_cause.empty()) json["likely_cause"] = error.likely_cause;
  if (!error.call.empty()) json["call"] = error.call;
  if (error.seconds > 0) json["seconds"] = error.seconds;
  if (error.peak_memory > 0) json["peak_memory"] = error.peak_memory;
  if (error.attempts > 1 || ended_from_outside(error.code)) json["attempts"] = error.attempts;
  if (!error.stack.empty()) json["stack"] = error.stack;
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
  if (!error.likely_cause.empty()) append_indented("likely cause: " + error.likely_cause, text);
  const std::string facts = circumstances(error);
  if (!facts.empty()) append_indented("call: " + facts, text);
  // A traceback of one line (a value that cannot cross has no frames) is the headline again.
  const std::size_t first_end = error.traceback.find('\n');
  if (first_end != std::string::npos && first_end + 1 < error.traceback.size()) {
    append_indented(error.traceback, text);
    return text;
  }
  const std::size_t more = error.message.find('\n');
  if (more != std::string::npos)
    append_indented(std::string_view(error.message).substr(more + 1), text);
  append_section("where it was:", error.stack, text);
  append_section("the last lines it wrote to stderr:", error.stderr_tail, text);
  return text;
}

std::string startup_block(const Error& error) {
  return "pyhost: cannot start: " + headline(error) + "\n" + details(error);
}

std::string error_json(const Error& error) {
  return to_json(error, 0).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pyhost::cli
