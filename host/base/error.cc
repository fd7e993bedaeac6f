#include <pyhost/error.h>

#include <algorithm>

namespace pyhost {

std::string_view kind_name(Code code) {
  switch (code) {
    case Code::python_error:
      return "exception";
    case Code::worker_crashed:
      return "crashed";
    case Code::timeout:
      return "timeout";
    case Code::memory:
      return "memory";
    case Code::cpu:
      return "cpu";
    case Code::cancelled:
      return "cancelled";
    case Code::marshal:
      return "marshal";
    case Code::startup:
      return "startup";
    case Code::violation:
      return "violation";
    case Code::sandbox_unavailable:
      return "sandbox_unavailable";
    case Code::backpressure:
      return "backpressure";
    case Code::protocol:
      return "protocol";
  }
  return "unknown";
}

const char* Error::what() const noexcept {
  try {
    std::string text;
    if (!type.empty()) text = message.empty() ? type : type + ": " + message;
    if (type.empty()) text = message.empty() ? std::string(kind_name(code)) : message;
    std::replace(text.begin(), text.end(), '\n', ' ');
    if (!frames.empty()) {
      const Frame& place = frames.back();
      text += " (" + place.file + ":" + std::to_string(place.line);
      if (!place.function.empty()) text += " in `" + place.function + "`";
      text += ")";
    }
    what_ = std::move(text);
    return what_.c_str();
  } catch (...) {  // no memory for the sentence; the message alone needs none
    return message.c_str();
  }
}

}  // namespace pyhost
