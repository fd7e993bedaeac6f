#include <Python.h>
#include <base/futex.h>
#include <driver/completions.h>
#include <driver/handle.h>
#include <driver/limits.h>
#include <driver/slot.h>
#include <driver/unlocked.h>
#include <signal.h>
#include <structmember.h>

#include <climits>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct CompletionsObject {
  PyObject_HEAD std::shared_ptr<Completions> completions;
  PyObject* thread;  // null: none yet
};

PyTypeObject* the_type = nullptr;

// Signals that come while this thread sleeps are for one that runs Python: the main thread, best.
// Only then: processes that a callback starts inherit what is blocked.
class SignalsElsewhere {
 public:
  SignalsElsewhere() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsElsewhere(const SignalsElsewhere&) = delete;
  SignalsElsewhere& operator=(const SignalsElsewhere&) = delete;
  ~SignalsElsewhere() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

CompletionsObject* object_of(PyObject* self) {
  return reinterpret_cast<CompletionsObject*>(self);
}

PyObject* next(PyObject* self, PyObject* seconds) {
  std::optional<base::Duration> duration;
  if (!read_duration(seconds, duration)) return nullptr;
  const std::shared_ptr<Completions> completions = object_of(self)->completions;
  bool late = false;
  PyObject* task =
      completions->next(duration ? base::Deadline::in(*duration) : base::Deadline::never(), late);
  if (task != nullptr) return task;
  if (late) Py_RETURN_FALSE;
  Py_RETURN_NONE;
}

PyObject* push(PyObject* self, PyObject* object) {
  PyRef reference = PyRef::borrow(object);
  if (!object_of(self)->completions->push_open(reference.get())) Py_RETURN_FALSE;
  static_cast<void>(reference.release());
  Py_RETURN_TRUE;
}

PyObject* close(PyObject* self, PyObject*) {
  object_of(self)->completions->close();
  Py_RETURN_NONE;
}

PyObject* refuse_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyErr_Format(PyExc_TypeError, "`%s` objects are made by engines", type->tp_name);
  return nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object_of(self)->thread);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(object_of(self)->thread);
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  std::destroy_at(&object_of(self)->completions);
  free_object(self);
}

PyMethodDef kMethods[] = {
    {"next", next, METH_O,
     "next(seconds): waits for a watched task whose outcome is there; None: the pool has ended, "
     "False: there was none in that time"},
    {"push", push, METH_O,
     "push(task): `next` returns it; for one whose outcome is there. False: the pool has ended"},
    {"close", close, METH_NOARGS, "ends the thread in `next`, once it has taken what was pushed"},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef kMembers[] = {
    {"thread", T_OBJECT, offsetof(CompletionsObject, thread), 0, "the one in `next`, or None"},
    {nullptr, 0, 0, 0, nullptr}};

}  // namespace

void Completions::push(PyObject* task) {
  push_open(task);
}

bool Completions::push_open(PyObject* task) {
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  tasks_.push_back(task);
  lock.unlock();
  wake();
  return true;
}

void Completions::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  lock.unlock();
  wake();
}

void Completions::wake() {
  // All: two sleep where Ctrl-C came while a thread was started.
  if (idle_.exchange(0) != 0) base::futex_wake(idle_, INT_MAX, base::Sharing::one_process);
}

PyObject* Completions::next(base::Deadline deadline, bool& late) {
  // The lock is held for moments, and never by a thread that waits for the GIL.
  PyObject* task = take();
  if (task != nullptr) return task;
  const OurThread ours;
  return without_gil([&]() -> PyObject* {
    for (;;) {
      idle_.store(1);  // before the look: what is pushed behind it wakes
      PyObject* found = take();
      std::unique_lock lock(mutex_);
      if (found != nullptr || (closed_ && tasks_.empty())) return found;
      lock.unlock();
      late = deadline.passed();
      if (late) return nullptr;
      const SignalsElsewhere elsewhere;
      base::futex_wait(idle_, 1, deadline, base::Sharing::one_process);
    }
  });
}

PyObject* Completions::take() {
  const std::lock_guard lock(mutex_);
  if (tasks_.empty()) return nullptr;
  PyObject* task = tasks_.front();
  tasks_.pop_front();
  return task;
}

python::PyRef make_completions(std::shared_ptr<Completions> completions) {
  PyRef self = PyRef::steal(the_type->tp_alloc(the_type, 0));
  if (!self) return {};
  new (&object_of(self.get())->completions) std::shared_ptr<Completions>(std::move(completions));
  return self;
}

bool add_completions_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_members, kMembers},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {Py_tp_new, slot(refuse_new)},
                         {0, nullptr}};
  the_type = add_type(module, {"_pyhost_core.Completions", sizeof(CompletionsObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots});
  return the_type != nullptr;
}

}  // namespace pyhost::driver
