// completions.h: tasks of one pool whose outcome somebody awaits without waiting for it natively
// (callbacks, `concurrent.futures.wait`, asyncio), on their way to the settler thread of that pool.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <driver/receiver.h>
#include <python/ref.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace pyhost::driver {

// One queue per pool, because the settler runs callbacks of the user, which may wait for another
// pool.
//
// Threads:  `push` and `close` any, without the GIL; `next` one at a time.
// Lifetime: shared by the engine's handle, the Python object and whoever is going to push. A forked
//           copy of the process must not use it, but may drop it: hence no condition variable,
//           whose end waits for threads that are not there.
class Completions : public Receiver {
 public:
  void push(PyObject* task) override;
  // The same, unless it is closed: false, and the reference stays the caller's.
  bool push_open(PyObject* task);
  // The next task as a new reference, waiting for it without the GIL. Null without an exception:
  // closed, and all was taken, or with `late` set there was none by the deadline. Requires: the
  // GIL.
  PyObject* next(base::Deadline deadline, bool& late);
  // Lets `next` return null once what was pushed has been taken.
  void close();

 private:
  PyObject* take();
  void wake();

  std::mutex mutex_;  // guards the next two; never held while Python code can run
  std::deque<PyObject*> tasks_;
  bool closed_ = false;
  std::atomic<std::uint32_t> idle_{0};  // whether `next` sleeps, or is about to
};

// Adds the type Completions, made by engines: `next(seconds) -> task, None or False`,
// `push(object) -> bool`, `close()`, and `thread`, the one that calls `next`, which is for Python
// to set.
bool add_completions_type(PyObject* module);

// A new object of it. Null with an exception set.
python::PyRef make_completions(std::shared_ptr<Completions> completions);

}  // namespace pyhost::driver
