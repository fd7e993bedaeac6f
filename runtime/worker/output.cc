#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <worker/output.h>

#include <cstring>
#include <mutex>
#include <utility>

#include <base/per_process.h>
#include <base/system.h>
#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

bool printed = false;    // guarded by the GIL
bool installed = false;  // likewise; inherited by workers from the zygote
int kept_stdout = -1;    // likewise; open until it was used

// Halved, it is among the numbers that programs count on or close in a row; beyond 1000, it is
// above the usual limit, and `select` would not take it.
constexpr int kOutOfTheWay = 250;

// What descriptor 2 was when the worker began. Guarded by the GIL.
struct KeptErr {
  int fd = -1;
  struct stat status {};
};
KeptErr kept_err;

// False also where the number has come to mean something else, which user code may have opened.
bool is_kept_err(int fd) {
  struct stat now {};
  return kept_err.fd >= 0 && fstat(fd, &now) == 0 && now.st_dev == kept_err.status.st_dev &&
         now.st_ino == kept_err.status.st_ino;
}

// Held around writes to stderr: what is longer than a full pipe takes at once would be cut by that
// of another thread. Recursive, and held while Python code can run, as io's own lock of a stream
// is: a signal handler that interrupts a write may log.
constinit base::PerProcess<std::recursive_mutex> err_lock;

std::unique_lock<std::recursive_mutex> lock_err() {
  std::unique_lock lock(err_lock.get(), std::try_to_lock);
  if (!lock) {
    const python::WithoutGil without_gil;  // whoever has the lock may want the GIL
    lock.lock();
  }
  return lock;
}

// io.FileIO whose write leaves a mark. Under line buffering every completed line gets here.
PyObject* marked_write(PyObject* self, PyObject* bytes) {
  const PyRef base = PyRef::borrow(reinterpret_cast<PyObject*>(Py_TYPE(self)->tp_base));
  const PyRef fd = PyRef::steal(PyObject_CallMethod(self, "fileno", nullptr));
  if (!fd) return nullptr;
  std::unique_lock<std::recursive_mutex> lock;
  if (PyLong_AsLong(fd.get()) == 2) lock = lock_err();
  PyObject* written = PyObject_CallMethod(base.get(), "write", "OO", self, bytes);
  printed = true;  // only now: another thread may have taken it during the write
  return written;
}

PyMethodDef stream_methods[] = {
    {"write", marked_write, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot stream_slots[] = {{Py_tp_methods, stream_methods}, {0, nullptr}};
PyType_Spec stream_spec = {"_pyhost_core.OutputStream", 0, 0, Py_TPFLAGS_DEFAULT, stream_slots};

// The attribute of the stream in place as a str, or None, which lets io choose.
PyRef attribute_or_none(PyObject* object, const char* name) {
  PyRef value = object != nullptr && object != Py_None
                    ? PyRef::steal(PyObject_GetAttrString(object, name))
                    : PyRef();
  if (!value || !PyUnicode_Check(value.get())) {
    PyErr_Clear();
    return PyRef::borrow(Py_None);
  }
  return value;
}

PyRef make_output(PyObject* io, PyObject* stream_type, int fd, const char* name, PyObject* old) {
  PyRef raw = PyRef::steal(PyObject_CallFunction(stream_type, "isO", fd, "wb", Py_False));
  if (!raw) return {};
  const PyRef shown_name = PyRef::steal(PyUnicode_FromString(name));
  if (!shown_name || PyObject_SetAttrString(raw.get(), "name", shown_name.get()) < 0) return {};
  const PyRef buffer = PyRef::steal(PyObject_CallMethod(io, "BufferedWriter", "O", raw.get()));
  if (!buffer) return {};
  const PyRef encoding = attribute_or_none(old, "encoding");
  const PyRef errors = attribute_or_none(old, "errors");
  PyRef text = PyRef::steal(PyObject_CallMethod(io, "TextIOWrapper", "OOOsO", buffer.get(),
                                                encoding.get(), errors.get(), "\n", Py_True));
  if (!text) return {};
  const PyRef mode = PyRef::steal(PyUnicode_FromString("w"));
  if (mode && PyObject_SetAttrString(text.get(), "mode", mode.get()) < 0) PyErr_Clear();
  return text;
}

PyRef make_input(PyObject* io) {
  return PyRef::steal(
      PyObject_CallMethod(io, "open", "isiOOOO", 0, "r", -1, Py_None, Py_None, Py_None, Py_False));
}

// Puts `stream` where Python keeps its own, and where user code looks unless it put its own there.
void replace(const char* name, const char* original_name, PyObject* stream) {
  PyObject* now = PySys_GetObject(name);  // borrowed
  PyObject* original = PySys_GetObject(original_name);
  const bool users = now != nullptr && now != Py_None && now != original;
  // Whoever kept the old object (a logging handler) still writes to the same descriptor: from now
  // on in whole lines too, since nothing flushes it at the end of a worker.
  if (original != nullptr && original != Py_None) {
    const PyRef function = PyRef::steal(PyObject_GetAttrString(original, "reconfigure"));
    const PyRef arguments = PyRef::steal(PyTuple_New(0));
    const PyRef keywords = PyRef::steal(Py_BuildValue("{sO}", "line_buffering", Py_True));
    if (function) PyRef::steal(PyObject_Call(function.get(), arguments.get(), keywords.get()));
    PyErr_Clear();
  }
  PySys_SetObject(original_name, stream);
  if (!users) PySys_SetObject(name, stream);
}

}  // namespace

void install_streams() {
  if (installed) return;
  installed = true;
  const PyRef io = PyRef::steal(PyImport_ImportModule("io"));
  const PyRef file_io = io ? PyRef::steal(PyObject_GetAttrString(io.get(), "FileIO")) : PyRef();
  const PyRef bases = file_io ? PyRef::steal(PyTuple_Pack(1, file_io.get())) : PyRef();
  const PyRef type =
      bases ? PyRef::steal(PyType_FromSpecWithBases(&stream_spec, bases.get())) : PyRef();
  if (type) {
    const PyRef out =
        make_output(io.get(), type.get(), 1, "<stdout>", PySys_GetObject("__stdout__"));
    if (out) replace("stdout", "__stdout__", out.get());
    PyErr_Clear();
    const PyRef err =
        make_output(io.get(), type.get(), 2, "<stderr>", PySys_GetObject("__stderr__"));
    if (err) replace("stderr", "__stderr__", err.get());
    PyErr_Clear();
    const PyRef in = make_input(io.get());
    if (in) {
      PySys_SetObject("__stdin__", in.get());
      PySys_SetObject("stdin", in.get());
    }
  }
  PyErr_Clear();
}

void keep_stdout() {
  kept_stdout = fcntl(1, F_DUPFD_CLOEXEC, 3);
}

WithStdout::WithStdout() {
  if (kept_stdout < 0) return;
  flush_streams();
  now_ = base::UniqueFd(fcntl(1, F_DUPFD_CLOEXEC, 3));
  dup2(kept_stdout, 1);
}

WithStdout::~WithStdout() {
  if (!now_) return;
  flush_streams();
  dup2(now_.get(), 1);
  close(std::exchange(kept_stdout, -1));
}

void keep_stderr(int fd) {
  if (is_kept_err(kept_err.fd)) close(kept_err.fd);  // that of the worker this one is a copy of
  kept_err.fd = fcntl(fd, F_DUPFD_CLOEXEC, kOutOfTheWay);
  if (kept_err.fd < 0) kept_err.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);  // under a low limit
  if (fstat(kept_err.fd, &kept_err.status) != 0) kept_err.fd = -1;
}

bool write_marked(std::string_view bytes) {
  const auto lock = lock_err();
  const int fd = is_kept_err(kept_err.fd) ? kept_err.fd : 2;
  if (!is_kept_err(fd)) return false;
  bool written = false;
  {
    const python::WithoutGil without_gil;
    written = base::write_all(fd, bytes);
  }
  printed = true;  // as in marked_write
  return written;
}

bool take_printed() {
  const bool was = printed;
  printed = false;
  return was;
}

}  // namespace pyhost::worker
