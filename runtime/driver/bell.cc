#include <Python.h>
#include <driver/bell.h>
#include <driver/dropped.h>
#include <driver/slot.h>
#include <python/ref.h>
#include <structmember.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct BellObject {
  PyObject_HEAD std::shared_ptr<Bell> bell;
  PyObject* weak_references;
};

PyTypeObject* the_type = nullptr;

Bell& bell(PyObject* self) {
  return *reinterpret_cast<BellObject*>(self)->bell;
}

PyObject* new_bell(PyTypeObject* type, PyObject*, PyObject*) {
  base::UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return PyErr_SetFromErrno(PyExc_OSError);
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  new (&reinterpret_cast<BellObject*>(self)->bell)
      std::shared_ptr<Bell>(std::make_shared<Bell>(std::move(fd)));
  return self;
}

PyObject* fileno(PyObject* self, PyObject*) {
  return PyLong_FromLong(bell(self).fd());
}

PyObject* take(PyObject* self, PyObject*) {
  const std::vector<PyObject*> taken = bell(self).take();
  PyRef list = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(taken.size())));
  for (std::size_t i = 0; i < taken.size(); ++i) {
    PyRef object = PyRef::steal(taken[i]);
    if (list) PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), object.release());
  }
  return list.release();
}

void dealloc(PyObject* self) {
  if (reinterpret_cast<BellObject*>(self)->weak_references != nullptr) PyObject_ClearWeakRefs(self);
  bell(self).close();
  for (PyObject* object : bell(self).take()) PyRef::steal(object);
  std::destroy_at(&reinterpret_cast<BellObject*>(self)->bell);
  free_object(self);
}

PyMethodDef kMethods[] = {
    {"fileno", fileno, METH_NOARGS, "readable when there is something to take"},
    {"take", take, METH_NOARGS, "what was pushed since the last time, as a list"},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef kMembers[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(BellObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

}  // namespace

void Bell::push(PyObject* object) {
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    return drop_later(object);
  }
  pushed_.push_back(object);
  const std::uint64_t one = 1;
  // The descriptor is readable already, or this makes it so: the counter cannot overflow.
  if (pushed_.size() == 1) static_cast<void>(write(eventfd_.get(), &one, sizeof one) == sizeof one);
}

std::vector<PyObject*> Bell::take() {
  if (!eventfd_) return {};  // a forked copy: a thread that is not in it may hold the lock
  const std::lock_guard lock(mutex_);
  if (!pushed_.empty()) {
    std::uint64_t count = 0;
    static_cast<void>(read(eventfd_.get(), &count, sizeof count) == sizeof count);
  }
  return std::exchange(pushed_, {});
}

void Bell::close() {
  if (!eventfd_) return;  // see `take`
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

bool add_bell_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_members, kMembers},
                         {Py_tp_new, slot(new_bell)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {0, nullptr}};
  the_type =
      add_type(module, {"_pyhost_core.Bell", sizeof(BellObject), 0, Py_TPFLAGS_DEFAULT, slots});
  return the_type != nullptr;
}

std::shared_ptr<Bell> bell_of(PyObject* object) {
  if (Py_TYPE(object) == the_type) return reinterpret_cast<BellObject*>(object)->bell;
  PyErr_SetString(PyExc_TypeError, "expected a Bell");
  return nullptr;
}

}  // namespace pyhost::driver
