// exporter.cc: the buffer type behind export_bytes.
#include <python/exporter.h>

namespace pyhost::python {
namespace {

struct Exporter {
  PyObject_HEAD PyObject* owner;
  const std::byte* bytes;
  std::size_t size;
  bool writable;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  auto* exporter = reinterpret_cast<Exporter*>(self);
  // The C API takes a plain pointer; its `readonly` is what keeps consumers from writing.
  auto* bytes = const_cast<std::byte*>(exporter->bytes);
  return PyBuffer_FillInfo(view, self, bytes, static_cast<Py_ssize_t>(exporter->size),
                           exporter->writable ? 0 : 1, flags);
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyRef::steal(std::exchange(reinterpret_cast<Exporter*>(self)->owner, nullptr));
  type->tp_free(self);
  PyRef::steal(reinterpret_cast<PyObject*>(type));  // instances of heap types hold their type
}

PyTypeObject* exporter_type() {
  static PyObject* type = nullptr;  // kept for the life of the process
  if (type == nullptr) {
    static PyType_Slot slots[] = {
        {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
        {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
        {0, nullptr},
    };
    static PyType_Spec spec = {"pyhost.Buffer", sizeof(Exporter), 0, Py_TPFLAGS_DEFAULT, slots};
    type = PyType_FromSpec(&spec);
  }
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

PyRef export_bytes(std::span<const std::byte> bytes, PyObject* owner, bool writable) {
  PyTypeObject* type = exporter_type();
  if (type == nullptr) return {};
  PyRef made = PyRef::steal(type->tp_alloc(type, 0));
  if (!made) return {};
  auto* exporter = reinterpret_cast<Exporter*>(made.get());
  exporter->owner = PyRef::borrow(owner).release();
  exporter->bytes = bytes.data();
  exporter->size = bytes.size();
  exporter->writable = writable;
  return made;
}

}  // namespace pyhost::python
