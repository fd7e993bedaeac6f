// value.h: C++ values to JSON text and back. Header-only, so that no exported symbol carries a type
// of nlohmann/json and an application may use another version of it.
//
// Fidelity: an integer that the wanted type cannot hold is a `marshal` error, never a truncated or
// rounded number; NaN and infinities do not cross; 1.0 stays a float.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <pyhost/result.h>
#include <nlohmann/json.hpp>

namespace pyhost {

// Keyword arguments of a call: `pyhost::kwargs{{"weight", 0.5}}`. At most one per call, last.
struct kwargs {  // NOLINT(readability-identifier-naming): reads as Python's **kwargs
  kwargs(std::initializer_list<std::pair<std::string, nlohmann::json>> pairs)
      : object(nlohmann::json::object()) {
    for (const auto& [key, value] : pairs) object[key] = value;
  }
  nlohmann::json object;
};

namespace detail {

// The first integer in the text that 64 bits cannot hold, or "": nlohmann would make it a double.
PYHOST_EXPORT std::string_view oversized_integer(std::string_view json);

inline Error marshal_error(std::string message) {
  return Error(Code::marshal, std::move(message));
}

// Throws an Error naming the place of a number that JSON cannot carry.
inline void require_finite(const nlohmann::json& value, const std::string& path) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw marshal_error("cannot send a number that is not finite at " + path +
                        "; JSON has no NaN or infinity");
  }
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      require_finite(value[i], path + "[" + std::to_string(i) + "]");
    }
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.items())
      require_finite(member, std::string(path).append(".").append(key));
  }
}

// Appends the JSON text of a value. Throws Error (`marshal`).
template <class T>
void write_value(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    std::array<char, 24> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
  } else {
    const nlohmann::json json = value;
    require_finite(json, "$");
    try {
      out += json.dump();
    } catch (const nlohmann::json::exception& error) {
      throw marshal_error(std::string("cannot send a value as JSON: ") + error.what());
    }
  }
}

// The item of a call: [[positional...], {keywords...}].
template <class... Args>
std::string call_item(const Args&... args) {
  std::string out = "[[";
  std::string keywords = "{}";
  bool first = true;
  [[maybe_unused]] const auto add = [&]<class T>(const T& value) {
    if constexpr (std::is_same_v<T, kwargs>) {
      keywords.clear();
      write_value(keywords, value.object);
    } else {
      if (!first) out += ',';
      first = false;
      write_value(out, value);
    }
  };
  (add(args), ...);
  return out + "]," + keywords + "]";
}

template <class T>
T read_json(const nlohmann::json& json, const std::string& path);

template <class T>
struct ReadJson {
  static T read(const nlohmann::json& json, const std::string& path) {
    try {
      return json.get<T>();
    } catch (const nlohmann::json::exception& error) {
      throw marshal_error("the result at " + path +
                          " does not fit the wanted type: " + error.what());
    }
  }
};

[[noreturn]] inline void wrong_kind(const nlohmann::json& json, const std::string& path,
                                    const char* wanted) {
  throw marshal_error("the result at " + path + " is `" + json.dump().substr(0, 80) + "`, not " +
                      wanted);
}

template <>
struct ReadJson<nlohmann::json> {
  static nlohmann::json read(const nlohmann::json& json, const std::string&) { return json; }
};

template <>
struct ReadJson<bool> {
  static bool read(const nlohmann::json& json, const std::string& path) {
    if (!json.is_boolean()) wrong_kind(json, path, "true or false");
    return json.get<bool>();
  }
};

template <std::integral T>
requires(!std::is_same_v<T, bool>) struct ReadJson<T> {
  static T read(const nlohmann::json& json, const std::string& path) {
    if (json.is_number_unsigned()) {
      const auto value = json.get<std::uint64_t>();
      if (std::in_range<T>(value)) return static_cast<T>(value);
    } else if (json.is_number_integer()) {
      const auto value = json.get<std::int64_t>();
      if (std::in_range<T>(value)) return static_cast<T>(value);
    } else {
      wrong_kind(json, path, "an integer");
    }
    throw marshal_error("the integer " + json.dump() + " at " + path + " does not fit into " +
                        std::to_string(sizeof(T) * 8) + (std::is_signed_v<T> ? "" : " unsigned") +
                        " bits; ask for a wider type");
  }
};

template <std::floating_point T>
struct ReadJson<T> {
  static T read(const nlohmann::json& json, const std::string& path) {
    if (!json.is_number()) wrong_kind(json, path, "a number");
    return json.get<T>();
  }
};

template <class T>
struct ReadJson<std::optional<T>> {
  static std::optional<T> read(const nlohmann::json& json, const std::string& path) {
    if (json.is_null()) return std::nullopt;
    return read_json<T>(json, path);
  }
};

template <class T>
struct ReadJson<std::vector<T>> {
  static std::vector<T> read(const nlohmann::json& json, const std::string& path) {
    if (!json.is_array()) wrong_kind(json, path, "a list");
    std::vector<T> out;
    out.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
      out.push_back(read_json<T>(json[i], path + "[" + std::to_string(i) + "]"));
    }
    return out;
  }
};

template <class Map>
Map read_map(const nlohmann::json& json, const std::string& path) {
  if (!json.is_object()) wrong_kind(json, path, "a dict");
  Map out;
  for (const auto& [key, value] : json.items()) {
    out.emplace(key, read_json<typename Map::mapped_type>(
                         value, std::string(path).append(".").append(key)));
  }
  return out;
}

template <class T>
struct ReadJson<std::map<std::string, T>> {
  static auto read(const nlohmann::json& json, const std::string& path) {
    return read_map<std::map<std::string, T>>(json, path);
  }
};

template <class T>
struct ReadJson<std::unordered_map<std::string, T>> {
  static auto read(const nlohmann::json& json, const std::string& path) {
    return read_map<std::unordered_map<std::string, T>>(json, path);
  }
};

template <class... Ts>
struct ReadJson<std::tuple<Ts...>> {
  static std::tuple<Ts...> read(const nlohmann::json& json, const std::string& path) {
    if (!json.is_array() || json.size() != sizeof...(Ts)) {
      wrong_kind(json, path, "a list of the wanted length");
    }
    std::size_t i = 0;
    const auto next = [&]<class T>(std::type_identity<T>) {
      const std::size_t index = i++;
      return read_json<T>(json[index], path + "[" + std::to_string(index) + "]");
    };
    return std::tuple<Ts...>{next(std::type_identity<Ts>{})...};
  }
};

template <class A, class B>
struct ReadJson<std::pair<A, B>> {
  static std::pair<A, B> read(const nlohmann::json& json, const std::string& path) {
    auto [a, b] = ReadJson<std::tuple<A, B>>::read(json, path);
    return {std::move(a), std::move(b)};
  }
};

template <class T>
T read_json(const nlohmann::json& json, const std::string& path) {
  return ReadJson<T>::read(json, path);
}

// A result's JSON text as a `T`.
template <class T>
Result<T> read_result(std::string_view text) {
  try {
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      const std::string_view big = oversized_integer(text);
      if (!big.empty()) {
        return marshal_error("the integer `" + std::string(big.substr(0, 40)) +
                             "` in the result needs more than 64 bits; return it as a string");
      }
      const auto json = nlohmann::json::parse(text.begin(), text.end());
      return read_json<T>(json, "$");
    }
  } catch (const nlohmann::json::exception& error) {
    return marshal_error(std::string("the result is not readable as JSON: ") + error.what());
  } catch (Error& error) {
    return std::move(error);
  }
}

}  // namespace detail
}  // namespace pyhost
