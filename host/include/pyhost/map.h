// map.h: one call per element of a range, lazily.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include <pyhost/export.h>
#include <pyhost/options.h>
#include <pyhost/result.h>
#include <pyhost/value.h>

namespace pyhost::detail {

struct PoolState;

// One result of a map as it came: a number, JSON text, or an error.
struct RawResult {
  enum class Kind : std::uint8_t { text, integer, real, error };
  Kind kind = Kind::text;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::unique_ptr<Error> error;
};

// A number as the JSON text it would have come as.
PYHOST_EXPORT std::string number_text(const RawResult& number);

template <class T>
Result<T> read_result(RawResult raw) {
  switch (raw.kind) {
    case RawResult::Kind::error:
      return std::move(*raw.error);
    case RawResult::Kind::text:
      return read_result<T>(std::string_view(raw.text));
    case RawResult::Kind::integer:
      if constexpr (std::is_same_v<T, std::int64_t>) return raw.integer;
      break;
    case RawResult::Kind::real:
      if constexpr (std::is_same_v<T, double>) return raw.real;
      break;
  }
  return read_result<T>(std::string_view(number_text(raw)));
}

// A stream of calls: push inputs while there is room, take results. Numbers travel as numbers, the
// rest as JSON text.
//
// Threads: one. Dropping it cancels what has not started.
class PYHOST_EXPORT RawMap {
 public:
  struct State;
  RawMap(std::shared_ptr<PoolState> pool, std::string_view function, const MapOptions& options,
         std::shared_ptr<const CallOptions> limits);
  RawMap(RawMap&&) noexcept;
  RawMap& operator=(RawMap&&) noexcept;
  RawMap(const RawMap&) = delete;
  RawMap& operator=(const RawMap&) = delete;
  ~RawMap();

  bool has_room() const;
  void push(std::string_view item);
  void push(std::int64_t number);
  void push(double number);  // finite
  void push(Error error);    // an input that cannot cross: its result is this error
  void end();                // no more inputs
  // Waits for the next result; false after the last one.
  bool next(RawResult& result);

 private:
  std::unique_ptr<State> state_;
};

}  // namespace pyhost::detail

namespace pyhost {

// What Pool::map returns: an input range of `Result<T>`, to be walked once. Inputs are read as
// results are taken, a bounded number ahead.
template <class T, std::ranges::input_range Inputs>
class MapResults {
 public:
  MapResults(detail::RawMap raw, Inputs inputs)
      : raw_(std::move(raw)), inputs_(std::move(inputs)) {}

  class Iterator {
   public:
    using value_type = Result<T>;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(MapResults* results) : results_(results) {}
    Result<T>& operator*() const { return *results_->current_; }
    Iterator& operator++() {
      results_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !results_->current_.has_value(); }

   private:
    MapResults* results_ = nullptr;
  };

  Iterator begin() {
    next_input_.emplace(std::ranges::begin(inputs_));
    advance();
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  void advance() {
    while (!ended_ && raw_.has_room()) {
      if (*next_input_ == std::ranges::end(inputs_)) {
        raw_.end();
        ended_ = true;
        break;
      }
      push(**next_input_);
      ++*next_input_;
    }
    current_.reset();
    if (detail::RawResult raw; raw_.next(raw)) current_.emplace(read(std::move(raw)));
  }

  static Result<T> read(detail::RawResult raw) { return detail::read_result<T>(std::move(raw)); }

  template <class Input>
  void push(const Input& input) {
    if constexpr (std::floating_point<Input>) {
      if (std::isfinite(input)) return raw_.push(static_cast<double>(input));
    } else if constexpr (std::signed_integral<Input> && !std::same_as<Input, char>) {
      return raw_.push(std::int64_t{input});
    }
    item_.clear();
    try {
      detail::write_value(item_, input);
    } catch (Error& error) {
      raw_.push(std::move(error));
      return;
    }
    raw_.push(item_);
  }

  detail::RawMap raw_;
  Inputs inputs_;
  std::optional<std::ranges::iterator_t<Inputs>> next_input_;
  std::optional<Result<T>> current_;
  std::string item_;
  bool ended_ = false;
};

}  // namespace pyhost
