#include <Python.h>
#include <base/per_process.h>
#include <driver/dropped.h>
#include <driver/unlocked.h>
#include <python/ref.h>

#include <mutex>
#include <utility>
#include <vector>

namespace pyhost::driver {
namespace {

struct Dropped {
  std::mutex mutex;  // guards the rest; never held while Python code can run
  std::vector<PyObject*> objects;
  bool announced = false;  // the main thread is going to drop them
};

constinit base::PerProcess<Dropped> dropped;

int drop_all(void*) {
  Dropped& waiting = dropped.get();
  std::vector<PyObject*> objects;
  {
    const std::lock_guard lock(waiting.mutex);
    objects.swap(waiting.objects);
    waiting.announced = false;
  }
  for (PyObject* object : objects) python::PyRef::steal(object);
  return 0;
}

}  // namespace

void drop_later(PyObject* object) {
  Dropped& waiting = dropped.get();
  const std::lock_guard lock(waiting.mutex);
  waiting.objects.push_back(object);
  if (waiting.announced || interpreter_is_ending()) return;
  // It takes no more than 32 at a time: then the next object announces this one, too.
  waiting.announced = Py_AddPendingCall(drop_all, nullptr) == 0;
}

}  // namespace pyhost::driver
