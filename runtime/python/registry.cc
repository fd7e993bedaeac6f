// registry.cc: functions by number.
#include <python/registry.h>

#include <unordered_map>
#include <vector>

#include <python/ref.h>

namespace pyhost::python {
namespace {

// Guarded by the GIL. The references are never given back: workers forked later count on them.
struct Registry {
  std::vector<PyObject*> functions;
  std::unordered_map<PyObject*, std::uint64_t> numbers;
};

Registry& registry() {
  static auto* made = new Registry;  // outlives the interpreter, whose objects it refers to
  return *made;
}

}  // namespace

std::uint64_t register_function(PyObject* function) {
  Registry& known = registry();
  const auto [place, is_new] = known.numbers.try_emplace(function, known.functions.size());
  if (is_new) known.functions.push_back(PyRef::borrow(function).release());
  return place->second;
}

PyObject* registered_function(std::uint64_t number) {
  const Registry& known = registry();
  return number < known.functions.size() ? known.functions[number] : nullptr;
}

}  // namespace pyhost::python
