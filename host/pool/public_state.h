// public_state.h: what stands behind the handles of the public API.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <pyhost/pool.h>

#include <pool/engine.h>

namespace pyhost::detail {

struct PoolState {
  std::shared_ptr<pool::Engine> engine;

  // The engine's number for a function, by name.
  std::uint32_t function_number(std::string_view name);

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
};

// The result text of an outcome, or its error.
Result<std::string> to_result(pool::Outcome outcome);

}  // namespace pyhost::detail
