// pickling_scalars.cc: pickles of single small values, which are most of what maps send.
#include <python/pickling.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <python/key_cache.h>

namespace pyhost::python {
namespace {

// Opcodes of protocol 5 (pickletools documents them).
constexpr char kProto = '\x80';
constexpr char kVersion = 5;
constexpr char kStop = '.';
constexpr char kNone = 'N';
constexpr char kTrue = '\x88';
constexpr char kFalse = '\x89';
constexpr char kInt1 = 'K';          // one byte, unsigned
constexpr char kInt4 = 'J';          // four bytes, signed, little-endian
constexpr char kLong1 = '\x8a';      // a count of bytes, then a signed little-endian integer
constexpr char kFloat = 'G';         // eight bytes, big-endian
constexpr char kShortText = '\x8c';  // a count of bytes, then UTF-8
constexpr char kMemoize = '\x94';

class Pickle {
 public:
  Pickle() { put(kProto), put(kVersion); }
  void put(char byte) { bytes_[size_++] = byte; }
  void put(const void* from, std::size_t count) {
    std::memcpy(bytes_ + size_, from, count);
    size_ += count;
  }
  std::string_view text() const { return {bytes_, size_}; }

 private:
  char bytes_[300];  // more than a text of 255 bytes and its opcodes
  std::size_t size_ = 0;
};

bool dump_int(PyObject* object, Pickle& pickle) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow != 0) return false;
  if (value >= 0 && value < 256) {
    pickle.put(kInt1);
    pickle.put(static_cast<char>(value));
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    const auto narrow = static_cast<std::int32_t>(value);
    pickle.put(kInt4);
    pickle.put(&narrow, sizeof narrow);
  } else {
    pickle.put(kLong1);
    pickle.put(8);
    pickle.put(&value, 8);
  }
  return true;
}

bool dump_float(double value, Pickle& pickle) {
  const std::uint64_t bits = __builtin_bswap64(std::bit_cast<std::uint64_t>(value));
  pickle.put(kFloat);
  pickle.put(&bits, sizeof bits);
  return true;
}

bool dump_text(PyObject* object, Pickle& pickle) {
  if (!PyUnicode_IS_COMPACT_ASCII(object) || PyUnicode_GET_LENGTH(object) > 255) return false;
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(object));
  pickle.put(kShortText);
  pickle.put(static_cast<char>(size));
  pickle.put(PyUnicode_1BYTE_DATA(object), size);
  pickle.put(kMemoize);
  return true;
}

// False: not such an object.
bool dump(PyObject* object, Pickle& pickle) {
  bool done = true;
  if (PyLong_CheckExact(object)) {
    done = dump_int(object, pickle);
  } else if (PyFloat_CheckExact(object)) {
    done = dump_float(PyFloat_AS_DOUBLE(object), pickle);
  } else if (PyUnicode_CheckExact(object)) {
    done = dump_text(object, pickle);
  } else if (object == Py_None || object == Py_True || object == Py_False) {
    pickle.put(object == Py_None ? kNone : object == Py_True ? kTrue : kFalse);
  } else {
    done = false;
  }
  if (done) pickle.put(kStop);
  return done;
}

PyRef load_number(char opcode, const char* operand, std::size_t size) {
  if (opcode == kInt1 && size == 1) {
    return PyRef::steal(PyLong_FromLong(static_cast<unsigned char>(operand[0])));
  }
  if (opcode == kInt4 && size == 4) {
    std::int32_t value = 0;
    std::memcpy(&value, operand, 4);
    return PyRef::steal(PyLong_FromLong(value));
  }
  if (opcode == kLong1 && size == 9 && operand[0] == 8) {
    std::int64_t value = 0;
    std::memcpy(&value, operand + 1, 8);
    return PyRef::steal(PyLong_FromLongLong(value));
  }
  if (opcode == kFloat && size == 8) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, operand, 8);
    return PyRef::steal(PyFloat_FromDouble(std::bit_cast<double>(__builtin_bswap64(bits))));
  }
  return {};
}

}  // namespace

PyRef scalar_dumps(PyObject* object) {
  Pickle pickle;
  if (!dump(object, pickle)) return {};
  const std::string_view text = pickle.text();
  return PyRef::steal(PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

bool append_scalar_item(PyObject* object, std::string& items) {
  Pickle pickle;
  if (!dump(object, pickle)) return false;
  const std::string_view text = pickle.text();
  // Length of the item, no buffers and reserved, length of the pickle: see layout.md.
  const std::uint64_t head[3] = {sizeof head - 8 + text.size(), 0, text.size()};
  items.reserve(items.size() + sizeof head + text.size());
  items.append(reinterpret_cast<const char*>(head), sizeof head);
  items.append(text);
  return true;
}

PyRef scalar_loads(std::span<const std::byte> pickle) {
  const auto* at = reinterpret_cast<const char*>(pickle.data());
  const std::size_t size = pickle.size();
  if (size < 4 || at[0] != kProto || at[size - 1] != kStop) return {};
  const char opcode = at[2];
  const char* operand = at + 3;
  const std::size_t operand_size = size - 4;
  if (operand_size == 0) {
    if (opcode == kNone) return PyRef::borrow(Py_None);
    if (opcode == kTrue) return PyRef::borrow(Py_True);
    if (opcode == kFalse) return PyRef::borrow(Py_False);
    return {};
  }
  if (opcode != kShortText) return load_number(opcode, operand, operand_size);
  const std::size_t length = static_cast<unsigned char>(operand[0]);
  if (operand_size != length + 2 || operand[length + 1] != kMemoize) return {};
  const std::string_view text(operand + 1, length);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return {};
  }
  return ascii_string(text);
}

}  // namespace pyhost::python
