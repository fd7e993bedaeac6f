// json_decode.cc: one pass from JSON text to Python objects.
#include <python/json.h>

#include <cmath>
#include <new>
#include <vector>

#include <python/errors.h>
#include <python/json_numbers.h>
#include <python/key_cache.h>
#include <python/marshal.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

// Reads one text by recursive descent; `at_` never passes `end_`.
class Reader {
 public:
  Reader(std::string_view text, const JsonLimits& limits)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), limits_(limits) {}

  PyRef read() {
    PyRef result = value();
    if (!result) return {};
    skip_space();
    if (at_ != end_) return fail("expected the end of the text");
    return result;
  }

 private:
  PyRef value();
  PyRef array();
  PyRef object();
  bool members(PyObject* dict);
  PyRef key();
  PyRef string();
  PyRef plain_string(const char* start);
  PyRef escaped_string(const char* start);
  const char* string_end(const char* from);
  bool unescape(const char* from, const char* to);
  bool hex4(const char* from, const char* to, unsigned& code);
  PyRef decode(const char* from, std::string_view text);
  PyRef number();
  PyRef special_float(std::string_view word, double value);
  PyRef word(std::string_view word, PyObject* constant);

  PyRef fail(const std::string& expected);
  PyRef fail_at(const char* place, const std::string& problem);
  PyRef too_deep();

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool digit_here() const { return at_ != end_ && *at_ >= '0' && *at_ <= '9'; }

  const char* begin_;
  const char* at_;
  const char* end_;
  JsonLimits limits_;
  int depth_ = 0;
  std::vector<PyRef> elements_;  // of the arrays that are open, so that a list is made in its size
  std::string unescaped_;
};

PyRef Reader::value() {
  skip_space();
  if (at_ == end_) return fail("expected a value");
  switch (*at_) {
    case '"':
      ++at_;
      return string();
    case '{':
      return object();
    case '[':
      return array();
    case 't':
      return word("true", Py_True);
    case 'f':
      return word("false", Py_False);
    case 'n':
      return word("null", Py_None);
    case 'N':
      return special_float("NaN", Py_NAN);
    case 'I':
      return special_float("Infinity", Py_HUGE_VAL);
    default:
      if (*at_ == '-' || digit_here()) return number();
      return fail("expected a value");
  }
}

PyRef Reader::array() {
  ++at_;
  if (++depth_ > limits_.depth) return too_deep();
  const std::size_t first = elements_.size();
  skip_space();
  if (!take(']')) {
    for (;;) {
      PyRef element = value();
      if (!element) return {};
      elements_.push_back(std::move(element));
      skip_space();
      if (take(',')) continue;
      if (take(']')) break;
      return fail("expected `,` or `]` in an array");
    }
  }
  --depth_;
  const std::size_t count = elements_.size() - first;
  PyRef list = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(count)));
  if (!list) return {};
  for (std::size_t i = 0; i < count; ++i) {
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), elements_[first + i].release());
  }
  elements_.resize(first);
  return list;
}

PyRef Reader::object() {
  ++at_;
  if (++depth_ > limits_.depth) return too_deep();
  PyRef dict = PyRef::steal(PyDict_New());
  if (!dict) return {};
  skip_space();
  if (!take('}') && !members(dict.get())) return {};
  --depth_;
  return dict;
}

bool Reader::members(PyObject* dict) {
  for (;;) {
    skip_space();
    if (!take('"')) {
      fail("expected a key in double quotes");
      return false;
    }
    PyRef name = key();
    if (!name) return false;
    skip_space();
    if (!take(':')) {
      fail("expected `:` after a key");
      return false;
    }
    PyRef member = value();
    if (!member || PyDict_SetItem(dict, name.get(), member.get()) != 0) return false;
    skip_space();
    if (take(',')) continue;
    if (take('}')) return true;
    fail("expected `,` or `}` in an object");
    return false;
  }
}

// Behind an opening quote: the bytes up to the first that is no plain ASCII.
const char* plain_ascii_end(const char* at, const char* end) {
  for (; end - at >= 8; at += 8) {
    const std::uint64_t word = load_word(at);
    const std::uint64_t marks = special_marks(word) | (word & (kEveryByte * 0x80));
    if (marks != 0) return at + first_mark(marks);
  }
  while (at != end && !is_special(static_cast<unsigned char>(*at)) &&
         static_cast<unsigned char>(*at) < 0x80) {
    ++at;
  }
  return at;
}

PyRef Reader::key() {
  const char* start = at_;
  const char* stop = plain_ascii_end(at_, end_);
  const auto size = static_cast<std::size_t>(stop - start);
  if (stop == end_ || *stop != '"' || size > KeyCache::kLongestKey) return string();
  at_ = stop + 1;
  return KeyCache::instance().find_or_make({start, size});
}

PyRef Reader::string() {
  const char* start = at_;
  const char* stop = plain_ascii_end(at_, end_);
  if (stop != end_ && *stop == '"') {
    at_ = stop + 1;
    return ascii_string({start, static_cast<std::size_t>(stop - start)});
  }
  at_ = stop;
  return plain_string(start);
}

// A string with other characters than ASCII, or with escapes.
PyRef Reader::plain_string(const char* start) {
  const char* stop = string_end(at_);
  if (stop != end_ && *stop == '"') {
    at_ = stop + 1;
    return decode(start, {start, static_cast<std::size_t>(stop - start)});
  }
  at_ = stop;
  return escaped_string(start);
}

const char* Reader::string_end(const char* from) {
  for (; end_ - from >= 8; from += 8) {
    const std::uint64_t marks = special_marks(load_word(from));
    if (marks != 0) return from + first_mark(marks);
  }
  while (from != end_ && !is_special(static_cast<unsigned char>(*from))) ++from;
  return from;
}

PyRef Reader::escaped_string(const char* start) {
  // Escapes are replaced by what they stand for; the rest is judged as UTF-8 at the end.
  unescaped_.assign(start, at_);
  for (;;) {
    if (at_ == end_) return fail("expected `\"` at the end of a string");
    if (*at_ == '"') break;
    if (*at_ != '\\') {
      return fail_at(at_, "control character in a string; write it as an escape");
    }
    const char* escape = at_;
    const std::size_t room = static_cast<std::size_t>(end_ - at_);
    if (room < 2) {
      at_ = end_;
      return fail("expected a character after `\\`");
    }
    at_ += 2;
    if (!unescape(escape, end_)) return {};
    const char* stop = string_end(at_);
    unescaped_.append(at_, stop);
    at_ = stop;
  }
  ++at_;
  return decode(start, unescaped_);
}

bool Reader::hex4(const char* from, const char* to, unsigned& code) {
  code = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = from + i < to ? from[i] : '\0';
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
      digit = static_cast<unsigned>((c | 32) - 'a') + 10;
    } else {
      return false;
    }
    code = code * 16 + digit;
  }
  return true;
}

void append_utf8(std::string& out, unsigned code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// What may follow a backslash, and what it stands for.
constexpr std::string_view kLetters = "\"\\/bfnrt";
constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";

// The escape at `escape`; `at_` is two bytes behind it, and behind the whole of it afterwards.
bool Reader::unescape(const char* escape, const char* to) {
  const std::size_t letter = kLetters.find(escape[1]);
  if (letter != std::string_view::npos) {
    unescaped_ += kMeanings[letter];
    return true;
  }
  unsigned code = 0;
  if (escape[1] != 'u' || !hex4(at_, to, code)) {
    fail_at(escape,
            "invalid escape in a string; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    return false;
  }
  at_ += 4;
  if (code >= 0xD800 && code <= 0xDFFF) {
    unsigned low = 0;
    const bool pair = code < 0xDC00 && to - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u' &&
                      hex4(at_ + 2, to, low) && low >= 0xDC00 && low <= 0xDFFF;
    if (!pair) {
      fail_at(escape, "`" + std::string(escape, 6) + "` is half of a surrogate pair");
      return false;
    }
    at_ += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(unescaped_, code);
  return true;
}

// `text`: the content of the string whose source starts at `from`; `at_` is behind its quote.
PyRef Reader::decode(const char* from, std::string_view text) {
  PyRef made = PyRef::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict"));
  if (made || PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) return made;
  // Escapes are ASCII, so the source goes wrong at the same character, and names its place.
  PyErr_Clear();
  PyRef again = PyRef::steal(PyUnicode_DecodeUTF8(from, at_ - 1 - from, "strict"));
  PyRef error = take_exception();
  Py_ssize_t start = 0;
  if (error && PyUnicodeDecodeError_GetStart(error.get(), &start) != 0) PyErr_Clear();
  return fail_at(from + start, "not UTF-8");
}

PyRef Reader::number() {
  const char* start = at_;
  const bool negative = take('-');
  if (negative && at_ != end_ && *at_ == 'I') return special_float("Infinity", -Py_HUGE_VAL);
  const char* digits = at_;
  if (take('0')) {
    if (digit_here()) return fail_at(start, "a number must not start with `0`");
  } else {
    if (!digit_here()) return fail("expected a digit");
    while (digit_here()) ++at_;
  }
  const bool is_int = at_ == end_ || (*at_ != '.' && (*at_ | 32) != 'e');
  if (is_int) return int_of_digits(negative, {digits, static_cast<std::size_t>(at_ - digits)});
  if (take('.')) {
    if (!digit_here()) return fail("expected a digit");
    while (digit_here()) ++at_;
  }
  if (at_ != end_ && (*at_ | 32) == 'e') {
    ++at_;
    if (!take('+')) take('-');
    if (!digit_here()) return fail("expected a digit");
    while (digit_here()) ++at_;
  }
  const double value = float_of_text({start, static_cast<std::size_t>(at_ - start)});
  if (std::isinf(value) && !limits_.allow_nan) {
    return fail_at(start, "`" + std::string(start, std::min(at_, start + 40)) +
                              "` is beyond the largest float; send it as a string");
  }
  return PyRef::steal(PyFloat_FromDouble(value));
}

PyRef Reader::special_float(std::string_view name, double value) {
  const char* start = at_;
  if (!word(name, Py_None)) return {};
  if (limits_.allow_nan) return PyRef::steal(PyFloat_FromDouble(value));
  return fail_at(start, "`" + std::string(name) + "` is not JSON; send null or a string");
}

PyRef Reader::word(std::string_view word, PyObject* constant) {
  if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, word.size()) != word) {
    return fail("expected a value");
  }
  at_ += word.size();
  return PyRef::borrow(constant);
}

// What stands at `at_`, for a message.
std::string found_at(const char* at, const char* end) {
  if (at == end) return "the end of the text";
  const auto byte = static_cast<unsigned char>(*at);
  if (byte >= 0x20 && byte < 0x7F) return std::string("`") + *at + "`";
  return std::string("byte 0x") + kHexDigits[byte >> 4] + kHexDigits[byte & 15];
}

PyRef Reader::fail(const std::string& expected) {
  return fail_at(at_, expected + ", found " + found_at(at_, end_));
}

PyRef Reader::fail_at(const char* place, const std::string& problem) {
  raise_marshal("invalid JSON at byte " + std::to_string(place - begin_) + ": " + problem);
  return {};
}

PyRef Reader::too_deep() {
  return fail_at(at_ - 1, "arrays and objects nested deeper than the limit of " +
                              std::to_string(limits_.depth) + " levels; flatten the value");
}

}  // namespace

PyRef json_decode(std::string_view text, const JsonLimits& limits) {
  const CollectorPause pause;
  try {
    return Reader(text, limits).read();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return {};
  }
}

}  // namespace pyhost::python
