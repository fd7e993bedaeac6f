#include <worker/functions.h>

#include <cstring>

#include <python/errors.h>
#include <python/marshal.h>
#include <python/registry.h>
#include <python/values.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

PyRef text(std::string_view bytes) {
  return PyRef::steal(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

std::string_view first_part(std::string_view dotted) {
  return dotted.substr(0, dotted.find('.'));
}

// The callable attributes of `object`, for "did you mean".
PyRef callable_names(PyObject* object, bool private_too) {
  const PyRef all = PyRef::steal(PyObject_Dir(object));
  PyRef names = PyRef::steal(PyList_New(0));
  if (!all || !names || !PyList_Check(all.get())) {
    PyErr_Clear();
    return names;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all.get()); ++i) {
    PyObject* name = PyList_GET_ITEM(all.get(), i);
    if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) == 0) continue;
    if (!private_too && PyUnicode_READ_CHAR(name, 0) == '_') continue;
    const PyRef value = PyRef::steal(PyObject_GetAttr(object, name));
    if (!value) PyErr_Clear();
    if (value && PyCallable_Check(value.get())) PyList_Append(names.get(), name);
  }
  PyErr_Clear();
  return names;
}

PyRef no_such_function(PyObject* object, std::string_view name, const std::string& where) {
  std::string message = "no function `" + std::string(name) + "` in `" + where + "`";
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  const PyRef names = callable_names(object, last.starts_with('_'));
  const std::string close = names ? python::closest_name(last, names.get()) : "";
  if (!close.empty()) {
    message +=
        "; did you mean `" + std::string(name.substr(0, name.size() - last.size())) + close + "`?";
  }
  PyErr_SetString(PyExc_AttributeError, message.c_str());
  return {};
}

// Walks `path` from `object`. AttributeError with the closest name where it ends too early.
PyRef walk(PyObject* object, std::string_view path, const std::string& where) {
  PyRef at = PyRef::borrow(object);
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::string_view part = first_part(rest);
    const PyRef name = text(part);
    PyRef next = name ? PyRef::steal(PyObject_GetAttr(at.get(), name.get())) : PyRef();
    if (!next) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return {};
      PyErr_Clear();
      return no_such_function(at.get(), path.substr(0, path.size() - rest.size() + part.size()),
                              where);
    }
    at = std::move(next);
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  }
  if (PyCallable_Check(at.get())) return at;
  const std::string message = "`" + std::string(path) + "` in `" + where +
                              "` is not a function but " + Py_TYPE(at.get())->tp_name;
  PyErr_SetString(PyExc_TypeError, message.c_str());
  return {};
}

// Imports the longest prefix of `name` that is a module. `missing`: not even its first part is one.
PyRef import_longest(std::string_view name, std::string_view& rest, bool& missing) {
  std::string prefix(name);
  for (;;) {
    PyRef module = PyRef::steal(PyImport_ImportModule(prefix.c_str()));
    if (module) {
      rest = name.substr(std::min(prefix.size() + 1, name.size()));
      return module;
    }
    // Only "there is no such module" may be retried with less of the name; what an existing module
    // raises is the answer.
    if (!PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) return {};
    PyRef error = python::take_exception();
    const PyRef missing_name = PyRef::steal(PyObject_GetAttrString(error.get(), "name"));
    if (!missing_name) PyErr_Clear();
    const char* what = missing_name && PyUnicode_Check(missing_name.get())
                           ? PyUnicode_AsUTF8(missing_name.get())
                           : nullptr;
    if (what == nullptr || !std::string_view(prefix).starts_with(what)) {
      PyErr_Clear();
      python::set_exception(std::move(error));
      return {};
    }
    const std::size_t dot = prefix.rfind('.');
    if (dot == std::string::npos) {
      missing = true;
      return {};
    }
    prefix.resize(dot);
  }
}

// Builtins such as `eval` look into the frame of their caller, and a worker that is no copy of the
// driver calls from none: they get one, in `__main__`.
PyRef with_frame(PyRef function) {
  if (PyCFunction_Check(function.get()) == 0) return function;
  for (const char* name : {"eval", "exec", "dir", "globals", "locals", "vars"}) {
    if (PyDict_GetItemString(PyEval_GetBuiltins(), name) != function.get()) continue;
    PyObject* names = PyModule_GetDict(PyImport_AddModule("__main__"));
    const PyRef code = PyRef::steal(Py_CompileString(
        "lambda function: lambda *a, **k: function(*a, **k)", "<pyhost>", Py_eval_input));
    const PyRef make = code ? PyRef::steal(PyEval_EvalCode(code.get(), names, names)) : PyRef();
    if (!make) return {};
    return PyRef::steal(PyObject_CallFunctionObjArgs(make.get(), function.get(), nullptr));
  }
  return function;
}

}  // namespace

PyRef find_function(const Loaded& loaded, std::string_view name) {
  if (name.empty() || name.starts_with('.') || name.ends_with('.')) {
    PyErr_Format(PyExc_AttributeError, "`%s` is no name of a function", std::string(name).c_str());
    return {};
  }
  if (loaded.module) {
    const PyRef first = text(first_part(name));
    const bool has = first && PyObject_HasAttr(loaded.module.get(), first.get()) == 1;
    PyErr_Clear();
    if (has || name.find('.') == std::string_view::npos) {
      return walk(loaded.module.get(), name, loaded.label);
    }
  }
  std::string_view rest;
  bool missing = false;
  const PyRef module = import_longest(name, rest, missing);
  if (module) {
    return walk(module.get(), rest,
                std::string(name.substr(0, name.size() - rest.size() - (rest.empty() ? 0 : 1))));
  }
  if (!missing) return {};
  if (loaded.module) return no_such_function(loaded.module.get(), name, loaded.label);
  PyErr_Format(PyExc_AttributeError, "no module `%s` for the function `%s`; check sys.path",
               std::string(first_part(name)).c_str(), std::string(name).c_str());
  return {};
}

void FunctionTable::define(std::uint32_t number, wire::Codec codec,
                           std::span<const std::byte> definition) {
  Entry entry;
  if (codec == wire::Codec::json) {
    entry.function = find_function(
        loaded_, {reinterpret_cast<const char*>(definition.data()), definition.size()});
  } else if (codec == wire::Codec::pickle) {
    entry.function = python::decode_function(definition);
  } else {
    std::uint64_t index = 0;
    if (definition.size() == sizeof index) std::memcpy(&index, definition.data(), sizeof index);
    entry.function = PyRef::borrow(python::registered_function(index));
    if (!entry.function) {
      PyErr_SetString(PyExc_LookupError,
                      "the driver's function is not in this snapshot of it; report this");
    }
  }
  if (entry.function) entry.function = with_frame(std::move(entry.function));
  if (!entry.function) entry.exception = python::take_exception();
  entries_.insert_or_assign(number, std::move(entry));
}

PyRef FunctionTable::get(std::uint32_t number) const {
  const auto found = entries_.find(number);
  if (found == entries_.end()) {
    PyErr_Format(PyExc_LookupError, "the host never defined function %u; report this", number);
    return {};
  }
  if (!found->second.function) {
    python::set_exception(PyRef::borrow(found->second.exception.get()));
    return {};
  }
  return PyRef::borrow(found->second.function.get());
}

}  // namespace pyhost::worker
