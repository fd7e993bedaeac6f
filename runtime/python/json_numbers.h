// json_numbers.h: numbers between JSON text and Python, of any size and without loss.
//
// All functions need the GIL; null or false means that a Python exception is set.
#pragma once

#include <Python.h>

#include <cstddef>
#include <string>
#include <string_view>

#include <python/ref.h>

namespace pyhost::python {

// Decimal digits that surely fit 64 bits: 10^18 - 1 < 2^63.
inline constexpr std::size_t kSafeDigits = 18;

// An int of any size. Python's limit on the digits of an int (sys.set_int_max_str_digits) does not
// apply: it guards `int(text)` in web servers, while here the sender is trusted with the size.
PyRef int_of_digits(bool negative, std::string_view digits);

// The digits of an int that does not fit 64 bits.
bool append_big_int(PyObject* integer, std::string& out);

// The nearest float to a JSON number; infinite when it is beyond all of them.
double float_of_text(std::string_view number);

// Writes a finite float as Python's repr does, at most kFloatChars bytes; returns the end.
inline constexpr std::size_t kFloatChars = 32;
char* write_float(char* at, double number);

}  // namespace pyhost::python
