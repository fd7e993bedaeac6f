#include <Python.h>
#include <driver/context.h>
#include <driver/engine_object.h>
#include <driver/item.h>
#include <driver/known.h>
#include <driver/limits.h>
#include <driver/outcome.h>
#include <driver/slot.h>
#include <driver/submitter.h>
#include <driver/task.h>
#include <python/errors.h>
#include <python/ref.h>

#include <memory>
#include <new>
#include <utility>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct Submitter {
  PyObject_HEAD PyObject* engine;  // null: not bound, and so the next three
  PyObject* known;
  PyObject* type;
  PyObject* last;  // of `known`, what the last call found; may be null
  std::shared_ptr<const CallOptions> limits;
};

PyObject* submit_name = nullptr;  // "_submit", for the life of the process

Submitter* submitter(PyObject* self) {
  return reinterpret_cast<Submitter*>(self);
}

bool find_number(Submitter* self, PyObject* function, std::uint32_t& number) {
  if (self->last != nullptr && number_of(self->last, function, number)) return true;
  const PyRef key = PyRef::steal(PyLong_FromVoidPtr(function));  // as id() does
  PyObject* known = key ? PyDict_GetItemWithError(self->known, key.get()) : nullptr;
  PyErr_Clear();
  if (known == nullptr || !number_of(known, function, number)) return false;
  const PyRef before = PyRef::steal(std::exchange(self->last, PyRef::borrow(known).release()));
  return true;
}

PyObject* submit_known(Submitter* self, std::uint32_t number, PyObject* const* args,
                       Py_ssize_t count, PyObject* names) {
  auto* type = reinterpret_cast<PyTypeObject*>(self->type);
  // Kept by a copy: pickling runs Python code, which may bind anew.
  const std::shared_ptr<EngineHandle> handle = handle_of(self->engine);
  const PyRef dumps = PyRef::borrow(dumps_of(self->engine));
  pool::Batch batch;
  batch.function = number;
  batch.limits = self->limits;
  PyRef context;
  if (!take_context(carry_of(self->engine), context)) return nullptr;
  if (encode_vector(args, count, names, context.get(), dumps.get(), batch)) {
    return submit_task(type, handle, std::move(batch));
  }
  if (!python::marshal_error_pending()) return nullptr;
  return failed_task(type, take_exception().get());
}

PyObject* submit(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Submitter* self = submitter(object);
  if (count == 0) {
    PyErr_SetString(PyExc_TypeError, "submit() missing 1 required positional argument: 'fn'");
    return nullptr;
  }
  std::uint32_t number = 0;
  if (self->engine != nullptr && handle_of(self->engine)->accepts() &&
      !handle_of(self->engine)->broken() && find_number(self, args[0], number)) {
    return submit_known(self, number, args + 1, count - 1, names);
  }
  PyRef tuple;
  PyRef dict;
  if (!gather(args + 1, count - 1, names, tuple, dict)) return nullptr;
  if (!dict) dict = PyRef::steal(PyDict_New());
  if (!dict) return nullptr;
  return PyObject_CallMethodObjArgs(object, submit_name, args[0], tuple.get(), dict.get(), nullptr);
}

int clear(PyObject* object) {
  Submitter* self = submitter(object);
  Py_CLEAR(self->engine);
  Py_CLEAR(self->known);
  Py_CLEAR(self->type);
  Py_CLEAR(self->last);
  return 0;
}

PyObject* bind(PyObject* object, PyObject* args) {
  PyObject *engine = nullptr, *known = nullptr, *type = nullptr, *limits = nullptr;
  std::shared_ptr<const CallOptions> options;
  if (!PyArg_ParseTuple(args, "OO!O!O:_bind", &engine, &PyDict_Type, &known, &PyType_Type, &type,
                        &limits) ||
      !read_limits(limits, options)) {
    return nullptr;
  }
  if (!is_engine(engine) ||
      PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), task_type()) == 0) {
    PyErr_SetString(PyExc_TypeError, "expected an Engine, a dict and a type derived from Task");
    return nullptr;
  }
  clear(object);
  Submitter* self = submitter(object);
  self->limits = std::move(options);
  self->known = PyRef::borrow(known).release();
  self->type = PyRef::borrow(type).release();
  self->engine = PyRef::borrow(engine).release();
  Py_RETURN_NONE;
}

PyObject* new_submitter(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (&submitter(self)->limits) std::shared_ptr<const CallOptions>();
  return self;
}

int traverse(PyObject* object, visitproc visit, void* arg) {
  const Submitter* self = submitter(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->engine);
  Py_VISIT(self->known);
  Py_VISIT(self->type);
  Py_VISIT(self->last);
  return 0;
}

void dealloc(PyObject* object) {
  PyObject_GC_UnTrack(object);
  clear(object);
  std::destroy_at(&submitter(object)->limits);
  free_object(object);
}

PyMethodDef kMethods[] = {
    {"submit", reinterpret_cast<PyCFunction>(slot(submit)), METH_FASTCALL | METH_KEYWORDS,
     "submit($self, fn, /, *args, **kwargs)\n--\n\n"
     "Starts `fn(*args, **kwargs)` on a worker and returns its future at once.\n\n"
     "    >>> future = executor.submit(pow, 2, 10)\n"
     "    >>> future.result(timeout=30)\n"
     "    1024\n\n"
     "The content of the arguments is fixed when this returns. What cannot be sent fails the\n"
     "future, as `MarshalError`. A numpy array over 16 KiB is read-only in the task, and as a\n"
     "result; change a `.copy()` of it."},
    {"_bind", bind, METH_VARARGS, "_bind(engine, known, type, limits)"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool add_submitter_type(PyObject* module) {
  submit_name = PyUnicode_InternFromString("_submit");
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},        {Py_tp_new, slot(new_submitter)},
                         {Py_tp_traverse, slot(traverse)}, {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},   {0, nullptr}};
  return submit_name != nullptr &&
         add_type(module, {"_pyhost_core.Submitter", sizeof(Submitter), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots}) !=
             nullptr;
}

}  // namespace pyhost::driver
