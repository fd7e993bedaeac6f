#include <worker/block_owner.h>

#include <utility>

namespace pyhost::worker {
namespace {

using python::PyRef;

struct BlockOwner {
  PyObject_HEAD std::uint64_t block;
  bool kept;  // a reply told the host to wait for a release
};

// Guarded by the GIL. The end of an owner may come in any thread and in the middle of anything, so
// it is only written down here; the worker's loop tells the host.
std::vector<std::uint64_t>& released() {
  static auto& blocks = *new std::vector<std::uint64_t>;
  return blocks;
}

void dealloc(PyObject* self) {
  const auto* owner = reinterpret_cast<BlockOwner*>(self);
  if (owner->kept) released().push_back(owner->block);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  PyRef::steal(reinterpret_cast<PyObject*>(type));  // instances of heap types hold their type
}

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(dealloc)}, {0, nullptr}};
PyType_Spec spec = {"_pyhost_core.BlockOwner", sizeof(BlockOwner), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyRef make_block_owner(std::uint64_t block) {
  static PyObject* type = PyType_FromSpec(&spec);  // for the life of the process
  if (type == nullptr) return {};
  auto* owner = PyObject_New(BlockOwner, reinterpret_cast<PyTypeObject*>(type));
  if (owner == nullptr) return {};
  owner->block = block;
  owner->kept = false;
  return PyRef::steal(reinterpret_cast<PyObject*>(owner));
}

bool keep_if_referenced(PyObject* owner) {
  if (Py_REFCNT(owner) <= 1) return false;
  reinterpret_cast<BlockOwner*>(owner)->kept = true;
  return true;
}

std::vector<std::uint64_t> take_released() {
  return std::exchange(released(), {});
}

}  // namespace pyhost::worker
