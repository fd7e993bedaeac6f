#include <Python.h>
#include <driver/known.h>
#include <driver/slot.h>
#include <python/ref.h>
#include <structmember.h>

#include <cstddef>

namespace pyhost::driver {
namespace {

using python::PyRef;

struct Known {
  PyObject_HEAD PyObject* reference;
  PyObject* number;
  PyObject* functions;  // this and the next two: lists of the watch, null without one
  PyObject* cells;
  PyObject* globals;
  PyObject* absent;  // stands for a global or a cell without a value
};

PyTypeObject* the_type = nullptr;

Known* known_object(PyObject* self) {
  return reinterpret_cast<Known*>(self);
}

// The list `name` of a watch, into `out`. False with an exception set.
bool take_list(PyObject* watch, const char* name, PyObject*& out) {
  out = PyObject_GetAttrString(watch, name);
  if (out == nullptr) return false;
  if (PyList_CheckExact(out)) return true;
  PyErr_SetString(PyExc_TypeError, "a watch has lists");
  return false;
}

PyObject* new_known(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *reference = nullptr, *number = nullptr, *watch = nullptr;
  if (!PyArg_ParseTuple(args, "OOO:Known", &reference, &number, &watch)) return nullptr;
  PyRef self = PyRef::steal(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  Known* known = known_object(self.get());
  known->reference = PyRef::borrow(reference).release();
  known->number = PyRef::borrow(number).release();
  if (watch != Py_None) {
    known->absent = PyObject_GetAttrString(watch, "ABSENT");
    if (known->absent == nullptr || !take_list(watch, "functions", known->functions) ||
        !take_list(watch, "cells", known->cells) || !take_list(watch, "globals", known->globals)) {
      return nullptr;
    }
  }
  return self.release();
}

bool refers_to(const Known* known, PyObject* function) {
  if (PyWeakref_Check(known->reference) == 0) return known->reference == function;
#if PY_VERSION_HEX >= 0x030D0000
  PyObject* found = nullptr;
  if (PyWeakref_GetRef(known->reference, &found) < 0) PyErr_Clear();
  return PyRef::steal(found).get() == function;
#else
  return PyWeakref_GET_OBJECT(known->reference) == function;
#endif
}

PyObject* or_none(PyObject* object) {
  return object != nullptr ? object : Py_None;
}

// Entries are (function, code, defaults).
bool code_is(PyObject* entry) {
  PyObject* function = PyTuple_GET_ITEM(entry, 0);
  return PyFunction_GetCode(function) == PyTuple_GET_ITEM(entry, 1) &&
         or_none(PyFunction_GetDefaults(function)) == PyTuple_GET_ITEM(entry, 2);
}

// Whether all that was watched is as it was.
bool holds(const Known* known) {
  if (known->functions == nullptr) return true;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(known->functions); ++i) {
    if (!code_is(PyList_GET_ITEM(known->functions, i))) return false;
  }
  const auto is = [known](PyObject* found, PyObject* expected) {
    return (found != nullptr ? found : known->absent) == expected;
  };
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(known->globals); ++i) {
    PyObject* entry = PyList_GET_ITEM(known->globals, i);  // (namespace, name, value)
    PyObject* found = PyDict_GetItem(PyTuple_GET_ITEM(entry, 0), PyTuple_GET_ITEM(entry, 1));
    if (!is(found, PyTuple_GET_ITEM(entry, 2))) return false;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(known->cells); ++i) {
    PyObject* entry = PyList_GET_ITEM(known->cells, i);  // (cell, contents)
    if (!is(PyCell_GET(PyTuple_GET_ITEM(entry, 0)), PyTuple_GET_ITEM(entry, 1))) return false;
  }
  return true;
}

PyObject* is_for(PyObject* self, PyObject* function) {
  const Known* known = known_object(self);
  return PyBool_FromLong(refers_to(known, function) && holds(known) ? 1 : 0);
}

PyObject* refers(PyObject* self, PyObject* function) {
  return PyBool_FromLong(refers_to(known_object(self), function) ? 1 : 0);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  const Known* known = known_object(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(known->reference);
  Py_VISIT(known->number);
  Py_VISIT(known->functions);
  Py_VISIT(known->cells);
  Py_VISIT(known->globals);
  Py_VISIT(known->absent);
  return 0;
}

int clear(PyObject* self) {
  Known* known = known_object(self);
  Py_CLEAR(known->functions);
  Py_CLEAR(known->cells);
  Py_CLEAR(known->globals);
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  Known* known = known_object(self);
  Py_CLEAR(known->reference);
  Py_CLEAR(known->number);
  Py_CLEAR(known->absent);
  free_object(self);
}

PyMethodDef kMethods[] = {
    {"is_for", is_for, METH_O, "whether it is about this function as it is now"},
    {"refers_to", refers, METH_O, "whether it is about this function"},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef kMembers[] = {{"reference", T_OBJECT, offsetof(Known, reference), READONLY, nullptr},
                          {"number", T_OBJECT, offsetof(Known, number), READONLY, nullptr},
                          {nullptr, 0, 0, 0, nullptr}};

}  // namespace

bool add_known_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, kMethods},
                         {Py_tp_members, kMembers},
                         {Py_tp_new, slot(new_known)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_dealloc, slot(dealloc)},
                         {0, nullptr}};
  the_type = add_type(module, {"_pyhost_core.Known", sizeof(Known), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots});
  return the_type != nullptr;
}

bool number_of(PyObject* object, PyObject* function, std::uint32_t& number) {
  if (Py_TYPE(object) != the_type) return false;
  const Known* known = known_object(object);
  if (known->number == Py_None || !refers_to(known, function) || !holds(known)) return false;
  number = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(known->number));
  return true;
}

}  // namespace pyhost::driver
