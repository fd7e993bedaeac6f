#include <Python.h>
#include <base/system.h>
#include <driver/bell.h>
#include <driver/completions.h>
#include <driver/context.h>
#include <driver/driver.h>
#include <driver/engine_object.h>
#include <driver/handle.h>
#include <driver/known.h>
#include <driver/limits.h>
#include <driver/map_iterator.h>
#include <driver/records.h>
#include <driver/submitter.h>
#include <driver/task.h>
#include <pool/identities.h>
#include <python/ref.h>

namespace pyhost::driver {
namespace {

PyObject* count_foreign_threads(PyObject*, PyObject*) {
  return PyLong_FromLong(foreign_threads());
}

PyObject* usable_cpus(PyObject*, PyObject*) {
  return PyLong_FromLong(base::usable_cpus());
}

PyObject* reserve_identities(PyObject*, PyObject* args) {
  unsigned at_least = 0, count = 0;
  if (!PyArg_ParseTuple(args, "II:reserve_identities", &at_least, &count)) return nullptr;
  return PyLong_FromUnsignedLong(pool::reserve_identities(count, at_least));
}

PyObject* failed(PyObject*, PyObject* args) {
  PyObject *type = nullptr, *exception = nullptr;
  if (!PyArg_ParseTuple(args, "O!O:failed", &PyType_Type, &type, &exception)) return nullptr;
  PyTypeObject* wanted = reinterpret_cast<PyTypeObject*>(type);
  if (PyType_IsSubtype(wanted, task_type()) == 0 || !PyExceptionInstance_Check(exception)) {
    PyErr_SetString(PyExc_TypeError, "expected a type derived from Task, and an exception");
    return nullptr;
  }
  return failed_task(wanted, exception);
}

PyObject* finish_records(PyObject*, PyObject*) {
  await_records();
  Py_RETURN_NONE;
}

PyObject* stop_records(PyObject*, PyObject*) {
  end_records();
  Py_RETURN_NONE;
}

PyObject* mark_of_records(PyObject*, PyObject*) {
  const std::string_view mark = record_mark();
  return PyUnicode_FromStringAndSize(mark.data(), static_cast<Py_ssize_t>(mark.size()));
}

PyObject* tell_context(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyBool_FromLong(has_context() ? 1 : 0);
}

PyMethodDef kMethods[] = {
    {"await_records", finish_records, METH_NOARGS, "waits until log records are handled"},
    {"end_records", stop_records, METH_NOARGS,
     "waits until log records are handled; later ones are dropped"},
    {"record_mark", mark_of_records, METH_NOARGS,
     "what the line of a worker's log record begins with"},
    {"foreign_threads", count_foreign_threads, METH_NOARGS,
     "threads of this process besides the calling one and those of pyhost"},
    {"usable_cpus", usable_cpus, METH_NOARGS, "CPUs this process may use: affinity and quota"},
    {"reserve_identities", reserve_identities, METH_VARARGS,
     "reserve_identities(at_least, count): the first of so many numbers for workers"},
    {"has_context", tell_context, METH_NOARGS, "whether this thread has context variables set"},
    {"failed", failed, METH_VARARGS, "failed(type, exception): a task that has that outcome"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyMethodDef* methods() {
  return kMethods;
}

bool add_types(PyObject* module) {
  return add_bell_type(module) && add_completions_type(module) && add_limits_type(module) &&
         add_known_type(module) && add_task_type(module) && add_map_type(module) &&
         add_engine_type(module) && add_submitter_type(module);
}

}  // namespace pyhost::driver
