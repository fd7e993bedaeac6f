// future.h: the handle of one submitted call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <pyhost/export.h>
#include <pyhost/result.h>
#include <pyhost/value.h>

namespace pyhost {
namespace detail {

// A call as JSON text. Everything typed is built on it in headers.
class PYHOST_EXPORT RawFuture {
 public:
  struct State;
  RawFuture() = default;
  explicit RawFuture(std::shared_ptr<State> state) : state_(std::move(state)) {}

  bool valid() const { return state_ != nullptr; }
  // False when the limit passed first. Error `cancelled` inside a continuation of the same pool.
  Result<bool> wait(std::optional<std::chrono::nanoseconds> limit) const;
  Result<std::string> get() const;  // waits; may be asked again
  void then(std::function<void(Result<std::string>)> continuation) const;
  bool cancel(bool force) const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace detail

// The result of one call, now or later.
//
// Threads:  any; all of a future's functions may be called by several threads at once.
// Lifetime: may outlive the pool: what had not finished is then `cancelled`. Dropping it does not
//           cancel the call.
template <class T>
class [[nodiscard]] Future {
 public:
  Future() = default;
  explicit Future(detail::RawFuture raw) : raw_(std::move(raw)) {}
  // A call that failed before it was sent.
  explicit Future(Error error) : failed_(std::move(error)) {}

  // Waits for the result. Throws the Error of a call that failed.
  T get() const { return try_get().value_or_throw(); }

  // The same without exceptions.
  Result<T> try_get() const {
    if (failed_) return *failed_;
    Result<std::string> text = raw_.get();
    if (!text.ok()) return std::move(text).error();
    return detail::read_result<T>(*text);
  }

  // Waits at most that long; whether the result is there.
  bool wait_for(std::chrono::nanoseconds limit) const {
    if (failed_) return true;
    const Result<bool> done = raw_.wait(limit);
    return done.ok() && *done;
  }

  // Calls `continuation(Result<T>)` once, on the pool's supervisor thread (at once and here when
  // the call failed before it was sent). It must not block; waiting for the pool in it is an error.
  template <class Continuation>
  void then(Continuation continuation) const {
    if (failed_) {
      continuation(Result<T>(*failed_));
      return;
    }
    raw_.then([continuation = std::move(continuation)](Result<std::string> text) mutable {
      if (text.ok()) {
        continuation(detail::read_result<T>(*text));
      } else {
        continuation(Result<T>(std::move(text).error()));
      }
    });
  }

  // Takes a call back that has not started; with `force`, asks one that runs to stop, and kills its
  // worker when it has not after the grace period. True when the call will end as `cancelled`.
  bool cancel(bool force = false) const { return !failed_ && raw_.cancel(force); }

 private:
  detail::RawFuture raw_;
  std::optional<Error> failed_;
};

}  // namespace pyhost
