// receiver.h: to whom an object goes when the outcome it stands for is there.
#pragma once

#include <Python.h>

namespace pyhost::driver {

// An event loop's Bell, or the Completions of a pool.
//
// Threads: any, without the GIL.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // Takes one reference over.
  virtual void push(PyObject* object) = 0;
};

}  // namespace pyhost::driver
