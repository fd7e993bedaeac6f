// map_input.h: from a Python iterator to encoded batches.
#pragma once

#include <Python.h>
#include <pool/engine.h>
#include <python/ref.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace pyhost::driver {

// Pulls and encodes the items of a map, no more than it is asked for. Plain ints and floats are
// sent as numbers, a range as its start and step, an array of them as its bytes.
//
// Threads: all operations need the GIL; one at a time. They run Python code of the user.
class MapInput {
 public:
  // `items`: an iterator, a range, or an `array.array`, which is read piece by piece as a loop
  // would. `numbers`: items are single arguments, which may be sent as numbers. `dumps`: see
  // python::Encoded.
  MapInput(python::PyRef items, bool numbers, python::PyRef dumps);

  // Fills codec, count and payload of `batch` with up to `most` items; fewer when the input ends, a
  // byte limit is reached, the items are of another kind, or one has out-of-band buffers, which
  // travels alone.
  void fill(pool::Batch& batch, std::uint32_t most);

  // No item is left to be filled in; `failure` says whether that is because of an exception.
  bool ended() const {
    return !items_ && !array_ && held_.empty() && !held_value_ && range_left_ == 0;
  }
  // Ends the input here, with the exception that is set.
  void cut();
  // The exception that ended the input, else empty. It belongs behind the last item.
  python::PyRef take_failure() { return std::move(failure_); }
  bool failed() const { return static_cast<bool>(failure_); }

  // Reads what is left of an iterator, without encoding it. False with an exception set: a signal
  // handler's; one of the iterator is the `failure`.
  bool collect();

  // From now on an item that cannot be sent does not end the input.
  void go_on() { goes_on_ = true; }
  // Asked after each item of a batch, which it may end, while `fill` may still give the GIL away.
  // Whoever is called may replace the batch by an empty one of the same kind.
  void call_when_one_more(std::function<bool()> enough) { enough_ = std::move(enough); }
  // The exception of the item behind those of the last `fill`, if it could not be sent.
  python::PyRef take_refusal() { return std::move(refusal_); }

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  python::PyRef pull();
  std::size_t encode(PyObject* value, std::string& item, bool& has_buffers);
  void fill_range(pool::Batch& batch, std::uint32_t most);
  void fill_array(pool::Batch& batch, std::uint32_t most);
  void fill_numbers(pool::Batch& batch, python::PyRef first, std::uint32_t most);
  void fill_framed(pool::Batch& batch, python::PyRef first, std::uint32_t most);
  void fail();

  python::PyRef items_;  // empty once exhausted
  python::PyRef dumps_;
  python::PyRef failure_;
  python::PyRef refusal_;
  bool goes_on_ = false;
  std::function<bool()> enough_;  // may be empty
  std::string held_;              // an encoded item with buffers that waits for a batch of its own
  python::PyRef held_value_;      // an item that waits for a batch of its kind
  bool numbers_ = false;
  std::int64_t range_next_ = 0;
  std::int64_t range_step_ = 0;
  std::uint64_t range_left_ = 0;
  python::PyRef array_;  // empty once exhausted
  std::size_t array_next_ = 0;
};

}  // namespace pyhost::driver
