// json_encode.cc: one pass from Python objects to JSON text.
#include <python/json.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include <python/errors.h>
#include <python/json_numbers.h>
#include <python/marshal.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

// Names of more of a path than this help nobody.
constexpr std::size_t kLongestPath = 200;
constexpr std::size_t kPiece = 4096;  // of a string, between two looks at the room left

// The text so far. Grows by realloc, which moves pages where std::string would copy and clear them:
// of a large text that took longer than writing it.
class Text {
 public:
  Text() : at_(first_), end_(first_ + sizeof first_) {}

  // Where at least `bytes` may be written.
  char* room(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
    return at_;
  }
  void advance_to(char* end) { at_ = end; }
  void put(char c) { *room(1) = c, ++at_; }
  void put(std::string_view text) { at_ = std::copy(text.begin(), text.end(), room(text.size())); }
  std::string_view view() const { return {begin(), static_cast<std::size_t>(at_ - begin())}; }

 private:
  const char* begin() const { return heap_ ? heap_.get() : first_; }

  void grow(std::size_t bytes) {
    const std::size_t used = view().size();
    const std::size_t size = std::max(2 * static_cast<std::size_t>(end_ - begin()), used + bytes);
    auto* grown = static_cast<char*>(std::realloc(heap_.get(), size));
    if (grown == nullptr) throw std::bad_alloc();
    if (!heap_) std::copy_n(first_, used, grown);
    static_cast<void>(heap_.release());  // realloc has freed it or given it back
    heap_.reset(grown);
    at_ = grown + used;
    end_ = grown + size;
  }

  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  char first_[1024];  // most values need no more, and no allocation then
  std::unique_ptr<char, Free> heap_;
  char* at_;
  char* end_;
};

char* write_escape(char* at, unsigned char c) {
  *at++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *at++ = static_cast<char>(c);
      return at;
    case '\n':
      *at++ = 'n';
      return at;
    case '\r':
      *at++ = 'r';
      return at;
    case '\t':
      *at++ = 't';
      return at;
    case '\b':
      *at++ = 'b';
      return at;
    case '\f':
      *at++ = 'f';
      return at;
    default:
      *at++ = 'u';
      *at++ = '0';
      *at++ = '0';
      *at++ = kHexDigits[c >> 4];
      *at++ = kHexDigits[c & 15];
      return at;
  }
}

class Writer {
 public:
  explicit Writer(const JsonLimits& limits) : limits_(limits) {}

  bool write(PyObject* object, std::string& out) {
    if (!value(object)) {
      if (!problem_.empty()) raise();
      return false;
    }
    out += text_.view();
    return true;
  }

 private:
  bool value(PyObject* object);
  bool other(PyObject* object);
  bool sequence(PyObject* object);
  bool dict(PyObject* object);
  bool items_of(PyObject* object);
  bool member(PyObject* key, PyObject* member, bool first);
  bool key(PyObject* key);
  bool integer(PyObject* object);
  bool floating(double number);
  bool string(PyObject* object);
  void ascii(const char* from, std::size_t size);
  template <typename Char>
  bool wide(const Char* from, std::size_t size);
  bool converted(PyObject* object);

  bool enter();
  bool fail(std::string subject, std::string remedy);
  bool in_element(Py_ssize_t index);
  bool in_member(PyObject* key);
  void raise();

  Text text_;
  JsonLimits limits_;
  int depth_ = 0;
  // A failure is stated where it is met; its place is added on the way out, innermost first, so
  // that success pays nothing for it.
  std::string problem_;
  std::string remedy_;
  std::string path_;
};

bool Writer::value(PyObject* object) {
  if (PyUnicode_Check(object)) return string(object);
  if (object == Py_None) return text_.put("null"), true;
  if (object == Py_True) return text_.put("true"), true;
  if (object == Py_False) return text_.put("false"), true;
  if (PyLong_Check(object)) return integer(object);
  if (PyFloat_CheckExact(object)) return floating(PyFloat_AS_DOUBLE(object));
  if (PyList_Check(object) || PyTuple_Check(object)) return sequence(object);
  if (PyDict_CheckExact(object)) return dict(object);
  if (PyDict_Check(object)) return items_of(object);
  if (PyFloat_Check(object)) return floating(PyFloat_AS_DOUBLE(object));
  return other(object);
}

bool Writer::sequence(PyObject* object) {
  if (!enter()) return false;
  text_.put('[');
  // The length is read again each time: a converted numpy array may run code that changes it.
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i) {
    if (i != 0) text_.put(',');
    const PyRef element = PyRef::borrow(PySequence_Fast_GET_ITEM(object, i));
    if (!value(element.get())) return in_element(i);
  }
  text_.put(']');
  --depth_;
  return true;
}

bool Writer::dict(PyObject* object) {
  if (!enter()) return false;
  text_.put('{');
  const Py_ssize_t size = PyDict_GET_SIZE(object);
  Py_ssize_t position = 0;
  PyObject* borrowed_name = nullptr;
  PyObject* borrowed_member = nullptr;
  bool first = true;
  while (PyDict_Next(object, &position, &borrowed_name, &borrowed_member) != 0) {
    const PyRef name = PyRef::borrow(borrowed_name);
    const PyRef content = PyRef::borrow(borrowed_member);
    if (!member(name.get(), content.get(), first)) return false;
    if (PyDict_GET_SIZE(object) != size) {
      return fail("a `dict` that changes while it is sent", "; send a copy of it");
    }
    first = false;
  }
  text_.put('}');
  --depth_;
  return true;
}

// A subclass of dict shows what its `items()` says: an OrderedDict keeps its order there.
bool Writer::items_of(PyObject* object) {
  const PyRef items = PyRef::steal(PyMapping_Items(object));
  if (!items || !enter()) return false;
  text_.put('{');
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
    const PyRef item = PyRef::borrow(PyList_GET_ITEM(items.get(), i));
    if (!PyTuple_Check(item.get()) || PyTuple_GET_SIZE(item.get()) != 2) {
      return fail("`" + type_name(Py_TYPE(object)) + "`, whose items() are no pairs,",
                  "; send a dict");
    }
    if (!member(PyTuple_GET_ITEM(item.get(), 0), PyTuple_GET_ITEM(item.get(), 1), i == 0)) {
      return false;
    }
  }
  text_.put('}');
  --depth_;
  return true;
}

bool Writer::member(PyObject* name, PyObject* content, bool first) {
  if (!first) text_.put(',');
  if (!key(name)) return false;
  text_.put(':');
  return value(content) || in_member(name);
}

bool Writer::key(PyObject* name) {
  if (PyUnicode_Check(name)) return string(name) || in_member(name);
  if (!PyLong_Check(name) && !PyFloat_Check(name) && name != Py_None) {
    return fail("a dict with a key of type `" + type_name(Py_TYPE(name)) + "`",
                "; use keys that are str, int, float, bool or None");
  }
  text_.put('"');
  if (!value(name)) return false;
  text_.put('"');
  return true;
}

bool Writer::integer(PyObject* object) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) {
    if (number == -1 && PyErr_Occurred() != nullptr) return false;
    char* at = text_.room(24);
    text_.advance_to(std::to_chars(at, at + 24, number).ptr);
    return true;
  }
  std::string digits;
  if (!append_big_int(object, digits)) return false;
  text_.put(digits);
  return true;
}

bool Writer::floating(double number) {
  if (std::isfinite(number)) {
    text_.advance_to(write_float(text_.room(kFloatChars), number));
    return true;
  }
  const char* name = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  if (!limits_.allow_nan) {
    return fail(std::string("`") + name + "`", "; JSON has none, return None or a string");
  }
  text_.put(name);
  return true;
}

bool Writer::string(PyObject* object) {
#if PY_VERSION_HEX < 0x030C0000
  if (PyUnicode_READY(object) != 0) return false;
#endif
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(object));
  text_.put('"');
  if (PyUnicode_IS_COMPACT_ASCII(object)) {
    ascii(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)), size);
  } else if (PyUnicode_KIND(object) == PyUnicode_1BYTE_KIND) {
    if (!wide(PyUnicode_1BYTE_DATA(object), size)) return false;
  } else if (PyUnicode_KIND(object) == PyUnicode_2BYTE_KIND) {
    if (!wide(PyUnicode_2BYTE_DATA(object), size)) return false;
  } else {
    if (!wide(PyUnicode_4BYTE_DATA(object), size)) return false;
  }
  text_.put('"');
  return true;
}

void Writer::ascii(const char* from, std::size_t size) {
  const char* end = from + size;
  while (from != end) {
    const char* piece_end = from + std::min(kPiece, static_cast<std::size_t>(end - from));
    char* at = text_.room(6 * static_cast<std::size_t>(piece_end - from) + 8);
    while (piece_end - from >= 8) {
      const std::uint64_t word = load_word(from);
      std::memcpy(at, &word, sizeof word);
      const std::uint64_t marks = special_marks(word);
      const int plain = marks == 0 ? 8 : first_mark(marks);
      from += plain;
      at += plain;
      if (marks != 0) at = write_escape(at, static_cast<unsigned char>(*from++));
    }
    for (; from != piece_end; ++from) {
      const auto c = static_cast<unsigned char>(*from);
      if (is_special(c)) {
        at = write_escape(at, c);
      } else {
        *at++ = *from;
      }
    }
    text_.advance_to(at);
  }
}

template <typename Char>
bool Writer::wide(const Char* from, std::size_t size) {
  const Char* end = from + size;
  const auto tail = [](unsigned code, int shift) {
    return static_cast<char>(0x80 | ((code >> shift) & 0x3F));
  };
  while (from != end) {
    const Char* piece_end = from + std::min(kPiece, static_cast<std::size_t>(end - from));
    char* at = text_.room(6 * static_cast<std::size_t>(piece_end - from));
    for (; from != piece_end; ++from) {
      const unsigned code = *from;
      if (code < 0x80) {
        if (is_special(static_cast<unsigned char>(code))) {
          at = write_escape(at, static_cast<unsigned char>(code));
        } else {
          *at++ = static_cast<char>(code);
        }
      } else if (code < 0x800) {
        *at++ = static_cast<char>(0xC0 | (code >> 6));
        *at++ = tail(code, 0);
      } else if (code < 0x10000) {
        if (code >= 0xD800 && code <= 0xDFFF) {
          return fail("a str with a lone surrogate",
                      "; decode it with errors=\"replace\", or send it as a list of numbers");
        }
        *at++ = static_cast<char>(0xE0 | (code >> 12));
        *at++ = tail(code, 6);
        *at++ = tail(code, 0);
      } else {
        *at++ = static_cast<char>(0xF0 | (code >> 18));
        *at++ = tail(code, 12);
        *at++ = tail(code, 6);
        *at++ = tail(code, 0);
      }
    }
    text_.advance_to(at);
  }
  return true;
}

// Whether a class of numpy is among the bases. numpy is recognized by name, because importing it
// would cost every worker its start.
bool comes_from_numpy(PyTypeObject* type) {
  for (Py_ssize_t i = 0; type->tp_mro != nullptr && i < PyTuple_GET_SIZE(type->tp_mro); ++i) {
    auto* base = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(type->tp_mro, i));
    if (std::strncmp(base->tp_name, "numpy.", 6) == 0) return true;
  }
  return false;
}

bool Writer::other(PyObject* object) {
  if (comes_from_numpy(Py_TYPE(object)) && PyObject_HasAttrString(object, "tolist") != 0) {
    return converted(object);
  }
  return fail("`" + type_name(Py_TYPE(object)) + "`",
              "; return a list, dict, str, number, bool or None");
}

bool Writer::converted(PyObject* object) {
  const PyRef plain = PyRef::steal(PyObject_CallMethod(object, "tolist", nullptr));
  if (!plain) {
    raise_marshal_from_pending("cannot send `" + type_name(Py_TYPE(object)) +
                               "` as JSON: its tolist() failed; return a list of numbers");
    return false;
  }
  // Some scalars, long double among them, have no plain form and answer with themselves.
  if (Py_TYPE(plain.get()) == Py_TYPE(object)) {
    return fail("`" + type_name(Py_TYPE(object)) + "`", "; convert it to float or str");
  }
  return value(plain.get());
}

bool Writer::enter() {
  if (++depth_ <= limits_.depth) return true;
  return fail(
      "a value nested deeper than the limit of " + std::to_string(limits_.depth) + " levels",
      "; flatten it, or break the cycle if it contains itself");
}

bool Writer::fail(std::string subject, std::string remedy) {
  problem_ = "cannot send " + std::move(subject) + " as JSON at ";
  remedy_ = std::move(remedy);
  return false;
}

bool Writer::in_element(Py_ssize_t index) {
  if (!problem_.empty()) path_.insert(0, "[" + std::to_string(index) + "]");
  return false;
}

bool Writer::in_member(PyObject* name) {
  if (problem_.empty()) return false;
  std::string text = "...";
  if (PyUnicode_Check(name)) {
    text = utf8_of(name, 60);
  } else if (PyRef shown = PyRef::steal(PyObject_Str(name))) {
    text = utf8_of(shown.get(), 60);
  }
  PyErr_Clear();
  const bool word = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return Py_ISALNUM(c) != 0 || c == '_';
  });
  if (word && PyUnicode_Check(name)) {
    path_.insert(0, "." + text);
  } else {
    std::string quoted;
    append_quoted(quoted, text);
    path_.insert(0, "[" + quoted + "]");
  }
  return false;
}

void Writer::raise() {
  cut(path_, kLongestPath);
  raise_marshal(problem_ + "$" + path_ + remedy_);
}

}  // namespace

bool json_encode(PyObject* object, std::string& out, const JsonLimits& limits) {
  try {
    return Writer(limits).write(object, out);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
}

}  // namespace pyhost::python
