// describe.cc: an exception in words, with the `traceback` module where it works.
#include <python/describe.h>

#include <algorithm>
#include <vector>

#include <python/ref.h>
#include <python/text.h>

namespace pyhost::python {
namespace {

// A reply must stay readable and small beside a pool's memory; the ends of a text say the most.
constexpr std::size_t kLongestMessage = std::size_t{64} * 1024;
constexpr std::size_t kLongestTraceback = std::size_t{256} * 1024;
constexpr std::size_t kLongestName = 4096;  // of a file or function
constexpr std::size_t kLongestLine = 1024;  // of source
constexpr std::size_t kMostCauses = 10;     // exceptions of a chain, the first one included
constexpr Py_ssize_t kMostFrames = 200;     // half of them outermost, half innermost

PyRef attribute(PyObject* object, const char* name) {
  PyRef value;
  if (object != nullptr) value = PyRef::steal(PyObject_GetAttrString(object, name));
  if (!value) PyErr_Clear();
  return value.get() == Py_None ? PyRef() : std::move(value);
}

std::string text_of(PyObject* object, const char* name, std::size_t limit) {
  const PyRef value = attribute(object, name);
  return value && PyUnicode_Check(value.get()) ? utf8_of(value.get(), limit) : "";
}

std::string message_of(PyObject* exception) {
  const PyRef text = PyRef::steal(PyObject_Str(exception));
  if (text) return utf8_of(text.get(), kLongestMessage);
  PyObject* type = PyErr_Occurred();
  std::string reason = "an error";
  if (type != nullptr && PyType_Check(type)) {
    reason = reinterpret_cast<PyTypeObject*>(type)->tp_name;
  }
  PyErr_Clear();
  return "<str() of this exception raised " + reason + ">";
}

bool suppresses_context(PyObject* exception) {
  return reinterpret_cast<PyBaseExceptionObject*>(exception)->suppress_context != 0;
}

// What Python shows above `exception`: its cause, or its context unless suppressed.
PyRef reason_of(PyObject* exception) {
  PyRef cause = PyRef::steal(PyException_GetCause(exception));
  if (cause) return cause;
  if (suppresses_context(exception)) return {};
  return PyRef::steal(PyException_GetContext(exception));
}

// `exception` and its reasons, nearest first; ends at a loop and at kMostCauses.
std::vector<PyRef> chain_of(PyObject* exception) {
  std::vector<PyRef> chain;
  PyRef next = PyRef::borrow(exception);
  while (next && chain.size() < kMostCauses) {
    const auto same = [&](const PyRef& known) { return known.get() == next.get(); };
    if (std::any_of(chain.begin(), chain.end(), same)) break;
    PyRef after = reason_of(next.get());
    chain.push_back(std::move(next));
    next = std::move(after);
  }
  return chain;
}

// Takes the reasons off an exception for a scope, because the `traceback` module follows a chain
// to its end, however long it is.
class WithoutReasons {
 public:
  explicit WithoutReasons(PyObject* exception)
      : exception_(exception),
        suppress_(reinterpret_cast<PyBaseExceptionObject*>(exception)->suppress_context),
        cause_(PyRef::steal(PyException_GetCause(exception))),
        context_(PyRef::steal(PyException_GetContext(exception))) {
    PyException_SetCause(exception, nullptr);
    PyException_SetContext(exception, nullptr);
  }
  WithoutReasons(const WithoutReasons&) = delete;
  WithoutReasons& operator=(const WithoutReasons&) = delete;
  ~WithoutReasons() {
    PyException_SetCause(exception_, cause_.release());
    PyException_SetContext(exception_, context_.release());
    reinterpret_cast<PyBaseExceptionObject*>(exception_)->suppress_context = suppress_;
  }

 private:
  PyObject* exception_;
  char suppress_;
  PyRef cause_;
  PyRef context_;
};

// A traceback.TracebackException of `exception` and its reasons; null when that does not work.
PyRef summarize(PyObject* exception) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("traceback"));
  const PyRef make = attribute(module.get(), "TracebackException");
  PyRef trace = PyRef::steal(PyException_GetTraceback(exception));
  if (!trace) trace = PyRef::borrow(Py_None);
  const PyRef args = PyRef::steal(
      PyTuple_Pack(3, reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception, trace.get()));
  // Contexts that are not shown are not looked at either.
#if PY_VERSION_HEX >= 0x030A0000
  const PyRef options = PyRef::steal(Py_BuildValue("{s:O}", "compact", Py_True));
#else
  const PyRef options = PyRef::steal(PyDict_New());
#endif
  PyRef summary;
  if (make && args && options) {
    summary = PyRef::steal(PyObject_Call(make.get(), args.get(), options.get()));
  }
  PyErr_Clear();
  return summary;
}

// The folder of the package `pyhost` with its separator, or "" when it is not loaded.
std::string package_folder() {
  const PyRef name = PyRef::steal(PyUnicode_FromString("pyhost"));
  const PyRef module = name ? PyRef::steal(PyImport_GetModule(name.get())) : PyRef();
  PyErr_Clear();
  const std::string file = text_of(module.get(), "__file__", kLongestName);
  const std::size_t separator = file.rfind('/');
  return separator == std::string::npos ? "" : file.substr(0, separator + 1);
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return !prefix.empty() && text.substr(0, prefix.size()) == prefix;
}

constexpr std::string_view kImportModule = "/importlib/__init__.py";

// The way into a script: Python leaves these out of the traceback of an import, too.
bool is_importing(const std::string& file) {
  return starts_with(file, "<frozen importlib.") ||
         (file.size() > kImportModule.size() &&
          file.compare(file.size() - kImportModule.size(), kImportModule.size(), kImportModule) ==
              0);
}

// Leaves pyhost's own frames out of the stack of a summary.
void drop_own_frames(PyObject* summary, const std::string& folder) {
  const PyRef stack = attribute(summary, "stack");
  if (!stack || !PyList_Check(stack.get())) return;
  const PyRef kept = PyRef::steal(PyList_New(0));
  bool leading = true;
  for (Py_ssize_t i = 0; kept && i < PyList_GET_SIZE(stack.get()); ++i) {
    PyObject* frame = PyList_GET_ITEM(stack.get(), i);
    const std::string file = text_of(frame, "filename", kLongestName);
    if (starts_with(file, folder) || (leading && is_importing(file))) continue;
    leading = false;
    PyList_Append(kept.get(), frame);
  }
  // A SyntaxError has no frame of the script itself: then nothing is left, which is right.
  if (kept) PyList_SetSlice(stack.get(), 0, PyList_GET_SIZE(stack.get()), kept.get());
  PyErr_Clear();
}

// Also in the reasons and in the members of a group. `left` bounds the whole.
void drop_own_frames_of_all(PyObject* summary, const std::string& folder, int& left) {
  if (summary == nullptr || --left < 0) return;
  drop_own_frames(summary, folder);
  drop_own_frames_of_all(attribute(summary, "__cause__").get(), folder, left);
  drop_own_frames_of_all(attribute(summary, "__context__").get(), folder, left);
  const PyRef members = attribute(summary, "exceptions");
  if (!members || !PyList_Check(members.get())) return;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(members.get()); ++i) {
    drop_own_frames_of_all(PyList_GET_ITEM(members.get(), i), folder, left);
  }
}

void cut_middle(std::string& text, std::size_t limit) {
  if (text.size() <= limit) return;
  const std::size_t missing = text.size() - limit;
  std::size_t head = limit / 2;
  std::size_t tail = text.size() - limit / 2;
  const auto inside = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  while (head > 0 && inside(head)) --head;
  while (tail < text.size() && inside(tail)) ++tail;
  text = text.substr(0, head) + "\n... (" + std::to_string(missing) + " more bytes)\n" +
         text.substr(tail);
}

std::string formatted(PyObject* summary) {
  const PyRef lines = PyRef::steal(PyObject_CallMethod(summary, "format", nullptr));
  const PyRef empty = PyRef::steal(PyUnicode_New(0, 0));
  PyRef text;
  if (lines && empty) text = PyRef::steal(PyUnicode_Join(empty.get(), lines.get()));
  PyErr_Clear();
  if (!text) return "";
  std::string result = utf8_of(text.get());
  cut_middle(result, kLongestTraceback);
  return result;
}

std::vector<Frame> frames_of(PyObject* summary) {
  std::vector<Frame> frames;
  const PyRef stack = attribute(summary, "stack");
  if (!stack || !PyList_Check(stack.get())) return frames;
  const Py_ssize_t count = PyList_GET_SIZE(stack.get());
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(stack.get()); ++i) {
    if (i >= kMostFrames / 2 && i < count - kMostFrames / 2) continue;
    PyObject* from = PyList_GET_ITEM(stack.get(), i);
    Frame frame;
    frame.file = text_of(from, "filename", kLongestName);
    frame.function = text_of(from, "name", kLongestName);
    frame.text = text_of(from, "line", kLongestLine);
    const PyRef line = attribute(from, "lineno");
    if (line) frame.line = static_cast<int>(PyLong_AsLong(line.get()));
    PyErr_Clear();
    frames.push_back(std::move(frame));
  }
  return frames;
}

Error describe_one(PyObject* exception, PyObject* summary) {
  Error error;
  error.type = type_name(Py_TYPE(exception));
  error.message = message_of(exception);
  if (summary != nullptr) {
    error.traceback = formatted(summary);
    error.frames = frames_of(summary);
  }
  if (error.traceback.empty()) error.traceback = error.type + ": " + error.message + "\n";
  return error;
}

PyRef reason_summary(PyObject* exception, PyObject* summary) {
  const PyRef cause = PyRef::steal(PyException_GetCause(exception));
  return attribute(summary, cause ? "__cause__" : "__context__");
}

PyRef summarize_chain(const std::vector<PyRef>& chain) {
  if (chain.size() < kMostCauses) return summarize(chain.front().get());
  const WithoutReasons cut_off(chain.back().get());
  return summarize(chain.front().get());
}

}  // namespace

Error describe(PyObject* exception) {
  const std::vector<PyRef> chain = chain_of(exception);
  std::vector<PyRef> summaries;
  summaries.push_back(summarize_chain(chain));
  int most_summaries = 1000;
  drop_own_frames_of_all(summaries.front().get(), package_folder(), most_summaries);
  for (std::size_t i = 1; i < chain.size(); ++i) {
    summaries.push_back(reason_summary(chain[i - 1].get(), summaries.back().get()));
  }
  Error error;
  for (std::size_t i = chain.size(); i-- > 0;) {
    Error outer = describe_one(chain[i].get(), summaries[i].get());
    if (i + 1 < chain.size()) outer.cause = std::make_shared<const Error>(std::move(error));
    error = std::move(outer);
  }
  return error;
}

}  // namespace pyhost::python
