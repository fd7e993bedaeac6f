// unlocked.h: giving the GIL away around calls of the engine.
#pragma once

#include <Python.h>
#include <unistd.h>

#include <type_traits>
#include <utility>

namespace pyhost::driver {

inline bool interpreter_is_ending() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// Runs `function` without the GIL and takes it back. Requires: the GIL is held.
//
// A daemon thread of the user that waited for a result while the interpreter ended sleeps here
// until the process is gone: CPython before 3.14 would end it (see image/core_unwinding.cc), and
// newer ones make it sleep.
template <class Function>
auto without_gil(Function function) {
  const bool ends_it = interpreter_is_ending();  // and holds the GIL: the thread that ends it
  PyThreadState* thread = PyEval_SaveThread();
  const auto take_back = [thread, ends_it] {
    while (!ends_it && interpreter_is_ending()) pause();
    PyEval_RestoreThread(thread);
  };
  if constexpr (std::is_void_v<decltype(function())>) {
    function();
    take_back();
  } else {
    auto result = function();
    take_back();
    return result;
  }
}

}  // namespace pyhost::driver
