// pickle_names.cc: which functions and classes of a module a pickle names, without loading it.
//
// Why not a second pass of a pickler that looks at each: objects would be asked twice for what they
// consist of, which takes as long again and may do something.
#include <python/pickling.h>

#include <cstdint>
#include <cstring>
#include <utility>

namespace pyhost::python {
namespace {

// The opcodes of protocol 5 that the pickler writes, as far as they matter here.
enum Opcode : unsigned char {
  kStop = '.',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

// Of what follows an opcode: so many bytes; or a length in so many bytes, and as many as that says.
struct Operand {
  std::uint8_t bytes = 0;
  bool counted = false;
};

constexpr std::string_view kBare =
    "()]}taesubRN012oQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x97\x98";

std::optional<Operand> operand_of(unsigned char opcode) {
  if (kBare.find(static_cast<char>(opcode)) != std::string_view::npos) return Operand{};
  switch (opcode) {
    case 'K':  // BININT1
    case kBinGet:
    case 0x80:  // PROTO
      return Operand{.bytes = 1};
    case 'M':  // BININT2
      return Operand{.bytes = 2};
    case 'J':  // BININT
    case kLongBinGet:
      return Operand{.bytes = 4};
    case 'G':  // BINFLOAT
    case kFrame:
      return Operand{.bytes = 8};
    case 'C':  // SHORT_BINBYTES
    case kShortBinUnicode:
    case 0x8a:  // LONG1
      return Operand{.bytes = 1, .counted = true};
    case 'B':  // BINBYTES
    case kBinUnicode:
    case 0x8b:  // LONG4
      return Operand{.bytes = 4, .counted = true};
    case kBinUnicode8:
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return Operand{.bytes = 8, .counted = true};
    default:
      return std::nullopt;
  }
}

// Reads a pickle like its machine, but of the stack only the two values on top, and of all values
// only strings.
class Reader {
 public:
  Reader(std::string_view pickle, std::string_view module) : left_(pickle), module_(module) {}

  std::optional<std::vector<std::string_view>> read() {
    while (!left_.empty()) {
      const auto opcode = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      if (opcode == kStop) return std::move(names_);
      std::string_view bytes;
      if (!take_operand(opcode, bytes) || !step(opcode, bytes)) return std::nullopt;
    }
    return std::nullopt;
  }

 private:
  using Text = std::optional<std::string_view>;

  bool take_operand(unsigned char opcode, std::string_view& bytes) {
    const std::optional<Operand> operand = operand_of(opcode);
    if (!operand || !take(operand->bytes, bytes)) return false;
    return !operand->counted || take(number(bytes), bytes);
  }

  bool take(std::uint64_t count, std::string_view& bytes) {
    if (count > left_.size()) return false;
    bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return true;
  }

  static std::uint64_t number(std::string_view bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), bytes.size());  // both little-endian
    return value;
  }

  bool step(unsigned char opcode, std::string_view bytes) {
    switch (opcode) {
      case kBinUnicode:
      case kShortBinUnicode:
      case kBinUnicode8:
        push(bytes);
        return true;
      case kBinGet:
      case kLongBinGet:
        if (number(bytes) >= memo_.size()) return false;
        push(memo_[number(bytes)]);
        return true;
      case kFrame:
        return true;
      case kMemoize:
        memo_.push_back(top_);
        return true;
      case kStackGlobal:
        if (!below_ || !top_) return false;
        if (*below_ == module_) names_.push_back(*top_);
        break;
      default:
        break;
    }
    top_ = below_ = std::nullopt;
    return true;
  }

  void push(Text text) { below_ = std::exchange(top_, text); }

  std::string_view left_;
  std::string_view module_;
  Text top_;
  Text below_;
  std::vector<Text> memo_;
  std::vector<std::string_view> names_;
};

}  // namespace

std::optional<std::vector<std::string_view>> names_in_pickle(std::string_view pickle,
                                                             std::string_view module) {
  return Reader(pickle, module).read();
}

}  // namespace pyhost::python
