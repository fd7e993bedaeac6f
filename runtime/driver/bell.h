// bell.h: what is due, on its way to an event loop, which an eventfd wakes.
#pragma once

#include <Python.h>
#include <base/fork_guard.h>
#include <driver/receiver.h>

#include <memory>
#include <mutex>
#include <vector>

namespace pyhost::driver {

// Objects that threads without the GIL hand to the thread of an event loop. However many are pushed
// before it looks, it is woken once.
//
// Threads:  `push` any, without the GIL; the rest needs the GIL.
// Lifetime: shared by the Python object `Bell` and whoever is going to push.
class Bell : public Receiver {
 public:
  explicit Bell(base::UniqueFd eventfd) : eventfd_(std::move(eventfd)) {}

  void push(PyObject* object) override;
  // What was pushed since the last time; the references are the caller's. Silences the descriptor.
  std::vector<PyObject*> take();
  void close();
  int fd() const { return eventfd_.get(); }

 private:
  base::HostFd eventfd_;
  std::mutex mutex_;  // guards the rest; never held while Python code can run
  std::vector<PyObject*> pushed_;
  bool closed_ = false;
};

// Adds the type Bell: `Bell()`, `fileno()`, `take() -> list`.
bool add_bell_type(PyObject* module);

// The bell behind a Python object; null with a TypeError set when it is none.
std::shared_ptr<Bell> bell_of(PyObject* object);

}  // namespace pyhost::driver
