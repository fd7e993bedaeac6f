#include <base/clock.h>

#include <climits>

namespace pyhost::base {

int Deadline::left_ms() const {
  if (endless()) return -1;
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left()).count();
  return rounded > INT_MAX ? INT_MAX : static_cast<int>(rounded);
}

}  // namespace pyhost::base
