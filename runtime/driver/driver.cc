#include <Python.h>

#include <driver/driver.h>

namespace pyhost::driver {
namespace {

PyMethodDef kMethods[] = {{nullptr, nullptr, 0, nullptr}};

}  // namespace

PyMethodDef* methods() { return kMethods; }

bool add_types(PyObject*) { return true; }

}  // namespace pyhost::driver
