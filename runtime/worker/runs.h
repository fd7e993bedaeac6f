// runs.h: results of consecutive items on their way into one record (layout.md, Runs of results).
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

#include <python/values.h>
#include <wire/layout.h>
#include <wire/worker_end.h>

namespace pyhost::worker {

// Adds results to the open run of the wire, and opens and closes runs as that needs.
//
// Owner:   the loop.
// Threads: those that hold the GIL.
class Runs {
 public:
  explicit Runs(wire::WorkerEnd& wire) : wire_(wire) {}

  // Both commit the result of item `index`, or return false: it has to travel alone, after `close`.
  // Results are added in the order of the items, all that travel in runs.
  bool add_number(const wire::Envelope& call, std::uint32_t index, PyObject* result);
  bool add_encoded(const wire::Envelope& call, std::uint32_t index, const python::Encoded& result);

  // Sends what is in the run; before a reply, and after the last item of a batch. `flags`:
  // kPrinted.
  void close(std::uint8_t flags = 0);
  // Whether it has been open for so long that somebody may be waiting for it.
  bool is_late() const;

 private:
  bool extend(const wire::Envelope& call, std::uint32_t index, wire::Codec codec,
              std::size_t bytes);

  wire::WorkerEnd& wire_;
  wire::Codec codec_ = wire::Codec::none;  // of the open run
  std::uint64_t began_ns_ = 0;             // when its first item was claimed
};

}  // namespace pyhost::worker
