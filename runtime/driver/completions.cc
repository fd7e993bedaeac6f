#include <Python.h>
#include <base/fork_guard.h>
#include <driver/completions.h>
#include <driver/handle.h>
#include <driver/unlocked.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>

namespace pyhost::driver {
namespace {

struct Queue {
  std::mutex mutex;
  std::condition_variable filled;
  std::deque<PyObject*> tasks;
  bool open = false;
  unsigned generation = base::fork_generation();
};

// Never destroyed: sinks of daemon threads may still push while the process exits. A forked copy
// starts with a new one, since the old one may be locked by a thread that does not exist there.
// Replaced under the GIL; sinks run only in the process that has the engine.
Queue& queue() {
  static Queue* current = new Queue;
  if (current->generation != base::fork_generation()) current = new Queue;
  return *current;
}

}  // namespace

void push_completion(PyObject* task) {
  Queue& tasks = queue();
  const std::lock_guard lock(tasks.mutex);
  if (!tasks.open) return;
  tasks.tasks.push_back(task);
  tasks.filled.notify_one();
}

PyObject* next_completion() {
  const OurThread ours;
  return without_gil([]() -> PyObject* {
    Queue& tasks = queue();
    std::unique_lock lock(tasks.mutex);
    tasks.filled.wait(lock, [&] { return !tasks.tasks.empty() || !tasks.open; });
    if (tasks.tasks.empty()) return nullptr;
    PyObject* task = tasks.tasks.front();
    tasks.tasks.pop_front();
    return task;
  });
}

void open_completions() {
  Queue& tasks = queue();
  const std::lock_guard lock(tasks.mutex);
  tasks.open = true;
}

void close_completions() {
  Queue& tasks = queue();
  const std::lock_guard lock(tasks.mutex);
  tasks.open = false;
  tasks.filled.notify_all();
}

}  // namespace pyhost::driver
