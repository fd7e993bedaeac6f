// run_reader.h: the results of a run as objects, one after the other.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

#include <string_view>
#include <utility>

namespace pyhost::driver {

// Threads: needs the GIL.
class RunReader {
 public:
  RunReader() = default;
  explicit RunReader(pool::Run run) : run_(std::move(run)) {}

  bool empty() const { return taken_ == run_.count; }
  // The next result; nothing with an exception set when it cannot be rebuilt. It stays the next
  // where that was `interrupted` (outcome.h). Requires: !empty().
  python::PyRef next();

 private:
  pool::Run run_;
  std::uint32_t taken_ = 0;
  std::size_t offset_ = 0;  // in the payload
};

}  // namespace pyhost::driver
