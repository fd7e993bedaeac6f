// key_cache.cc: KeyCache.
#include <python/key_cache.h>

#include <python/text.h>

namespace pyhost::python {
namespace {

constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio

std::size_t slot_of(std::string_view key, std::size_t slots) {
  std::uint64_t hash = key.size();
  const char* at = key.data();
  std::size_t left = key.size();
  for (; left >= sizeof hash; at += sizeof hash, left -= sizeof hash) {
    hash = (hash ^ load_word(at)) * kMultiplier;
    hash ^= hash >> 32;
  }
  std::uint64_t rest = 0;
  for (std::size_t i = 0; i < left; ++i) {
    rest |= static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])) << (8 * i);
  }
  hash = (hash ^ rest) * kMultiplier;
  return static_cast<std::size_t>(hash >> 32) & (slots - 1);
}

}  // namespace

KeyCache& KeyCache::instance() {
  static KeyCache cache;
  return cache;
}

PyRef KeyCache::find_or_make(std::string_view key) {
  PyObject*& slot = slots_[slot_of(key, kSlots)];
  if (slot != nullptr && static_cast<std::size_t>(PyUnicode_GET_LENGTH(slot)) == key.size() &&
      std::memcmp(PyUnicode_1BYTE_DATA(slot), key.data(), key.size()) == 0) {
    return PyRef::borrow(slot);
  }
  PyRef made = ascii_string(key);
  if (made) PyRef::steal(std::exchange(slot, PyRef::borrow(made.get()).release()));
  return made;
}

}  // namespace pyhost::python
