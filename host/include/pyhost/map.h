// map.h: one call per element of a range, lazily.
#pragma once

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

// A stream of calls as JSON text: push inputs while there is room, take results.
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
  void push(Error error);  // an input that cannot cross: its result is this error
  void end();              // no more inputs
  // Waits for the next result; nullopt after the last one.
  std::optional<Result<std::string>> next();

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
    std::optional<Result<std::string>> text = raw_.next();
    if (!text) return;
    if (text->ok()) {
      current_.emplace(detail::read_result<T>(**text));
    } else {
      current_.emplace(std::move(*text).error());
    }
  }

  template <class Input>
  void push(const Input& input) {
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
