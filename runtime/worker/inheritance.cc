#include <worker/inheritance.h>

#include <algorithm>
#include <utility>

#include <python/finder.h>
#include <python/json.h>
#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

// What multiprocessing has of this process stands in the first, who tracks shared memory in the
// second; the third is about descriptors. Whatever imports anything of it imports the first.
constexpr const char* kContext = "multiprocessing.context";
constexpr const char* kTracker = "multiprocessing.resource_tracker";
constexpr const char* kConnection = "multiprocessing.connection";
constexpr const char* kLogging = "logging";  // whose records go to the driver
constexpr const char* kAwaited[] = {kContext, kTracker, kConnection, kLogging};

// Never destroyed: used until the process is gone.
std::vector<base::UniqueFd>& descriptors() {
  static auto& kept = *new std::vector<base::UniqueFd>;
  return kept;
}
std::string& inheritance_text() {
  static auto& text = *new std::string;
  return text;
}

unsigned worker_identity = 0;  // guarded by the GIL

bool is_imported(const char* name) {
  PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), name);
  return module != nullptr && module != Py_None;
}

PyRef bootstrap() {
  return PyRef::steal(PyImport_ImportModule("pyhost._bootstrap"));
}

PyObject* find_spec(PyObject* /*self*/, PyObject* arguments, PyObject* keywords) {
  python::Sought sought;
  if (!python::read_sought(arguments, keywords, sought)) return nullptr;
  const bool awaited = std::ranges::any_of(kAwaited, [&sought](const char* one) {
    return PyUnicode_Check(sought.name) && PyUnicode_CompareWithASCIIString(sought.name, one) == 0;
  });
  if (!awaited) Py_RETURN_NONE;
  const PyRef module = bootstrap();
  if (module) {
    return PyObject_CallMethod(module.get(), "find_spec", "OO", sought.name, sought.path);
  }
  PyErr_Clear();  // a multiprocessing that knows less is better than none
  Py_RETURN_NONE;
}

PyMethodDef find_spec_definition = python::find_spec_method(find_spec);

PyObject* inherited_fd(PyObject* /*module*/, PyObject* argument) {
  const std::size_t index = PyLong_AsSize_t(argument);
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (index >= descriptors().size()) {
    return PyErr_Format(
        PyExc_OSError, "descriptor %zu of the driver is not here: there are %zu; it is for workers",
        index, descriptors().size());
  }
  return PyLong_FromLong(descriptors()[index].get());
}

PyObject* inheritance(PyObject* /*module*/, PyObject* /*unused*/) {
  if (inheritance_text().empty()) Py_RETURN_NONE;
  return PyUnicode_FromStringAndSize(inheritance_text().data(),
                                     static_cast<Py_ssize_t>(inheritance_text().size()));
}

PyObject* own_identity(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyLong_FromUnsignedLong(worker_identity);
}

PyMethodDef table[] = {
    {"inherited_fd", inherited_fd, METH_O,
     "inherited_fd(index): the number a descriptor that the driver handed down has here."},
    {"worker_identity", own_identity, METH_NOARGS,
     "The number of this worker, counted from 1 over all of the driver; 0 outside of a worker."},
    {"inheritance", inheritance, METH_NOARGS,
     "What the driver told its workers of itself, as JSON text, or None."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void inherit(std::vector<base::UniqueFd> more) {
  for (base::UniqueFd& fd : more) descriptors().push_back(std::move(fd));
}

void keep_inheritance(std::string text) {
  inheritance_text() = std::move(text);
}

void await_multiprocessing() {
  static bool installed = false;  // guarded by the GIL; forked copies have the hook too
  if (installed || std::ranges::all_of(kAwaited, is_imported)) return;
  PyObject* meta_path = PySys_GetObject("meta_path");  // borrowed
  const PyRef finder = python::make_finder("pyhost.bootstrap", &find_spec_definition);
  installed = finder && meta_path != nullptr && PyList_Check(meta_path) &&
              PyList_Insert(meta_path, 0, finder.get()) == 0;
  PyErr_Clear();
}

void catch_up_with_multiprocessing() {
  const PyRef module = is_imported(kContext) ? bootstrap() : PyRef();
  if (module) PyRef::steal(PyObject_CallMethod(module.get(), "catch_up", nullptr));
  PyErr_Clear();
}

bool take_run_options() {
  if (inheritance_text().find("\"run\"") == std::string::npos) return true;
  const PyRef facts = python::json_decode(inheritance_text());
  PyObject* told = facts ? PyDict_GetItemString(facts.get(), "run") : nullptr;  // borrowed
  if (told == nullptr) return facts && PyErr_Occurred() == nullptr;
  const PyRef core = PyRef::steal(PyImport_ImportModule("_pyhost_core"));
  return core && PyRef::steal(PyObject_CallMethod(core.get(), "take_run_options", "O", told));
}

void identify_to_multiprocessing(int number, unsigned identity) {
  worker_identity = identity;
  const PyRef module = is_imported(kContext) ? bootstrap() : PyRef();
  if (module) {
    PyRef::steal(PyObject_CallMethod(module.get(), "identify", "iI", number, identity));
  }
  PyErr_Clear();  // a worker without this is still one
}

void send_log_records() {
  const PyRef module = is_imported(kLogging) ? bootstrap() : PyRef();
  if (module) PyRef::steal(PyObject_CallMethod(module.get(), "send_log_records", nullptr));
  PyErr_Clear();  // a worker without this is still one
}

bool set_warnings() {
  if (inheritance_text().find("\"warnings\"") == std::string::npos) return true;
  const PyRef module = bootstrap();
  return module && PyRef::steal(PyObject_CallMethod(module.get(), "set_warnings", nullptr));
}

void prepare_for_multiprocessing() {
  if (is_imported(kContext) || is_imported(kLogging)) bootstrap();
  PyErr_Clear();
}

bool import_main() {
  if (inheritance_text().find("\"main\"") == std::string::npos) return true;
  const PyRef module = bootstrap();
  return module && PyRef::steal(PyObject_CallMethod(module.get(), "import_main", nullptr));
}

PyMethodDef* inheritance_methods() {
  return table;
}

}  // namespace pyhost::worker
