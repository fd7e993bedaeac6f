// functions.h: finding a function by its dotted name, and the functions a worker was told of.
#pragma once

#include <Python.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include <python/ref.h>
#include <wire/layout.h>

namespace pyhost::worker {

// The script or module of the pool, in the zygote and every process forked from it.
struct Loaded {
  python::PyRef module;  // empty when there is none
  std::string label;     // as the user named it, for errors
};

// What `name` means: a dotted name in the loaded module, else one that can be imported. Nothing
// with an exception set (AttributeError or what the import raised) whose message names the closest
// function. Needs the GIL.
python::PyRef find_function(const Loaded& loaded, std::string_view name);

// Functions by the number the host gave them.
//
// Threads: those that hold the GIL.
class FunctionTable {
 public:
  explicit FunctionTable(const Loaded& loaded) : loaded_(loaded) {}

  // Resolves a definition (host/wire/layout.md). One that fails is kept as its exception: the
  // calls that need it report it.
  void define(std::uint32_t number, wire::Codec codec, std::span<const std::byte> definition);

  // The function, or nothing with the exception of its definition set.
  python::PyRef get(std::uint32_t number) const;

 private:
  struct Entry {
    python::PyRef function;
    python::PyRef exception;
  };
  const Loaded& loaded_;
  std::unordered_map<std::uint32_t, Entry> entries_;
};

}  // namespace pyhost::worker
