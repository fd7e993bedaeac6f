// map_input.h: from a Python iterator to encoded batches.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

#include <cstdint>
#include <string>

namespace pyhost::driver {

// Pulls and encodes the items of a map, no more than it is asked for.
//
// Threads: all operations need the GIL; one at a time. They run Python code of the user.
class MapInput {
 public:
  // `items`: an iterator. `dumps`: see python::Encoded.
  MapInput(python::PyRef items, python::PyRef dumps)
      : items_(std::move(items)), dumps_(std::move(dumps)) {}

  // Fills count and payload of `batch` with up to `most` items; fewer when the input ends, a byte
  // limit is reached, or an item has out-of-band buffers, which travels alone.
  void fill(pool::Batch& batch, std::uint32_t most);

  // No item is left to be filled in; `failure` says whether that is because of an exception.
  bool ended() const { return !items_ && held_.empty(); }
  // Ends the input here, with the exception that is set.
  void cut();
  // The exception that ended the input, else empty. It belongs behind the last item.
  python::PyRef take_failure() { return std::move(failure_); }

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  bool pull(std::string& item, bool& has_buffers);
  void fail();

  python::PyRef items_;  // empty once exhausted
  python::PyRef dumps_;
  python::PyRef failure_;
  std::string held_;  // an encoded item with buffers that waits for a batch of its own
};

}  // namespace pyhost::driver
