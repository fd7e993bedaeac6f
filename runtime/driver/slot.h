// slot.h: functions as the untyped pointers that type specifications take.
#pragma once

namespace pyhost::driver {

template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace pyhost::driver
