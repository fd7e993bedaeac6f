// block_owner.h: keeps a call's block in use for as long as Python refers to it.
#pragma once

#include <Python.h>

#include <cstdint>
#include <vector>

#include <python/ref.h>

namespace pyhost::worker {

// An object that buffers of an argument refer to as the owner of their bytes: block `block` of the
// host. Nothing with an exception set when it cannot be made. Needs the GIL.
python::PyRef make_block_owner(std::uint64_t block);

// After the call, when the caller holds the only reference that is not the argument's: whether
// somebody else still refers to the owner. If so the end of its life is noted from now on, in
// `take_released`.
bool keep_if_referenced(PyObject* owner);

// Blocks whose kept owner ended since the last call. Needs the GIL.
std::vector<std::uint64_t> take_released();

}  // namespace pyhost::worker
