// closest_name.cc: the name somebody meant.
#include <python/errors.h>

#include <algorithm>
#include <vector>

#include <python/text.h>

namespace pyhost::python {
namespace {

constexpr std::size_t kLongestName = 64;  // nobody mistypes longer names in a way this finds

char lower(char c) {
  return static_cast<char>(Py_TOLOWER(static_cast<unsigned char>(c)));
}

// Insertions, deletions, replacements and exchanges of neighbours that turn `a` into `b`; small
// and capital letters count as the same.
std::size_t distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return table[i * width + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

}  // namespace

std::string closest_name(std::string_view wanted, PyObject* names) {
  std::string closest;
  if (wanted.size() > kLongestName) return closest;
  std::size_t best = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  const PyRef iterator = PyRef::steal(PyObject_GetIter(names));
  while (iterator) {
    const PyRef name = PyRef::steal(PyIter_Next(iterator.get()));
    if (!name) break;
    if (!PyUnicode_Check(name.get())) continue;
    std::string text = utf8_of(name.get(), 2 * kLongestName);
    if (text.empty() || text.size() > kLongestName) continue;
    const std::size_t found = distance(wanted, text);
    // One letter for another says nothing about what was meant.
    if (found >= best || found >= std::max(wanted.size(), text.size())) continue;
    best = found;
    closest = std::move(text);
  }
  PyErr_Clear();
  return closest;
}

}  // namespace pyhost::python
