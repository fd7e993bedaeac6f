// json_numbers.cc: big integers by divide and conquer, floats by the shortest text.
#include <python/json_numbers.h>

#include <charconv>
#include <cmath>
#include <vector>

namespace pyhost::python {
namespace {

// Digits that CPython converts itself, below the least limit a user can set (640).
constexpr std::size_t kLeafDigits = 512;

PyRef add(PyObject* a, PyObject* b) {
  return PyRef::steal(PyNumber_Add(a, b));
}
PyRef multiply(PyObject* a, PyObject* b) {
  return PyRef::steal(PyNumber_Multiply(a, b));
}

unsigned long long small_value(std::string_view digits) {
  unsigned long long value = 0;
  for (const char digit : digits) value = value * 10 + static_cast<unsigned>(digit - '0');
  return value;
}

// powers[k] = 10^(kSafeDigits * 2^k), as far as the longest number needs them.
PyRef join_digits(std::string_view digits, std::vector<PyRef>& powers) {
  if (digits.size() <= kSafeDigits) {
    return PyRef::steal(PyLong_FromUnsignedLongLong(small_value(digits)));
  }
  std::size_t level = 0;
  while ((kSafeDigits << (level + 1)) < digits.size()) ++level;
  while (powers.size() <= level) {
    PyRef next = powers.empty() ? PyRef::steal(PyLong_FromUnsignedLongLong(1000000000000000000ULL))
                                : multiply(powers.back().get(), powers.back().get());
    if (!next) return {};
    powers.push_back(std::move(next));
  }
  const std::size_t split = digits.size() - (kSafeDigits << level);
  PyRef high = join_digits(digits.substr(0, split), powers);
  if (!high) return {};
  PyRef low = join_digits(digits.substr(split), powers);
  if (!low) return {};
  PyRef raised = multiply(high.get(), powers[level].get());
  if (!raised) return {};
  return add(raised.get(), low.get());
}

// Appends `value`, which is at least 0 and below 10^(kLeafDigits * 2^levels); padded with zeros to
// that many digits unless it is what the number starts with.
bool append_digits(PyObject* value, const std::vector<PyRef>& powers, std::size_t levels,
                   bool leading, std::string& out) {
  if (levels == 0) {
    PyRef text = PyRef::steal(PyLong_Type.tp_repr(value));
    if (!text) return false;
    Py_ssize_t size = 0;
    const char* digits = PyUnicode_AsUTF8AndSize(text.get(), &size);
    if (digits == nullptr) return false;
    const auto count = static_cast<std::size_t>(size);
    if (!leading) out.append(kLeafDigits - count, '0');
    out.append(digits, count);
    return true;
  }
  PyRef parts = PyRef::steal(PyNumber_Divmod(value, powers[levels - 1].get()));
  if (!parts) return false;
  PyObject* high = PyTuple_GET_ITEM(parts.get(), 0);
  PyObject* low = PyTuple_GET_ITEM(parts.get(), 1);
  const int above = PyObject_IsTrue(high);
  if (above < 0) return false;
  if (leading && above == 0) return append_digits(low, powers, levels - 1, true, out);
  return append_digits(high, powers, levels - 1, leading, out) &&
         append_digits(low, powers, levels - 1, false, out);
}

// powers[k] = 10^(kLeafDigits * 2^k), up to the first that `value` does not exceed.
bool make_powers(PyObject* value, std::vector<PyRef>& powers) {
  PyRef ten = PyRef::steal(PyLong_FromLong(10));
  PyRef digits = PyRef::steal(PyLong_FromSize_t(kLeafDigits));
  if (!ten || !digits) return false;
  PyRef power = PyRef::steal(PyNumber_Power(ten.get(), digits.get(), Py_None));
  while (power) {
    const int fits = PyObject_RichCompareBool(value, power.get(), Py_LT);
    if (fits != 0) return fits > 0;
    PyRef next = multiply(power.get(), power.get());
    powers.push_back(std::move(power));
    power = std::move(next);
  }
  return false;
}

}  // namespace

PyRef int_of_digits(bool negative, std::string_view digits) {
  if (digits.size() <= kSafeDigits) {
    const auto value = static_cast<long long>(small_value(digits));
    return PyRef::steal(PyLong_FromLongLong(negative ? -value : value));
  }
  std::vector<PyRef> powers;
  PyRef value = join_digits(digits, powers);
  if (!value || !negative) return value;
  return PyRef::steal(PyNumber_Negative(value.get()));
}

bool append_big_int(PyObject* integer, std::string& out) {
  // A subclass may have its own arithmetic and text; what is sent is the int it holds.
  PyRef value = PyRef::steal(PyLong_Type.tp_as_number->nb_int(integer));
  if (!value) return false;
  PyRef magnitude = PyRef::steal(PyLong_Type.tp_as_number->nb_absolute(value.get()));
  if (!magnitude) return false;
  std::vector<PyRef> powers;
  if (!make_powers(magnitude.get(), powers)) return false;
  PyRef zero = PyRef::steal(PyLong_FromLong(0));
  if (!zero) return false;
  const int negative = PyObject_RichCompareBool(value.get(), zero.get(), Py_LT);
  if (negative < 0) return false;
  if (negative > 0) out += '-';
  return append_digits(magnitude.get(), powers, powers.size(), true, out);
}

double float_of_text(std::string_view number) {
  double value = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data(), end, value);
  if (parsed.ec == std::errc()) return value;
  // Beyond the largest or below the smallest float: from_chars does not say which.
  const std::string terminated(number);
  value = PyOS_string_to_double(terminated.c_str(), nullptr, nullptr);
  if (PyErr_Occurred() != nullptr) PyErr_Clear();
  return value;
}

char* write_float(char* at, double number) {
  const double size = std::fabs(number);
  if (size != 0 && (size < 1e-4 || size >= 1e16)) {
    return std::to_chars(at, at + kFloatChars, number, std::chars_format::scientific).ptr;
  }
  char* end = std::to_chars(at, at + kFloatChars, number, std::chars_format::fixed).ptr;
  for (const char* c = at; c != end; ++c) {
    if (*c == '.') return end;
  }
  *end++ = '.';
  *end++ = '0';
  return end;
}

}  // namespace pyhost::python
