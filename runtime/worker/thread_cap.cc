// thread_cap.cc: workers share the CPUs, so each one's numerical libraries get a part of them.
//
// Why twice: a library reads its environment once, when it is loaded. Forked workers inherit
// libraries that are loaded already, and those can only be told by a call.
#include <Python.h>
#include <dlfcn.h>
#include <link.h>
#include <worker/thread_cap.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <python/ref.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

constexpr const char* kOpenMp = "OMP_NUM_THREADS";

struct Variable {
  const char* name;
  bool follows_openmp;  // without it the library goes by OMP_NUM_THREADS
};

constexpr std::array kVariables = {
    Variable{"OPENBLAS_NUM_THREADS", true},
    Variable{"MKL_NUM_THREADS", true},
    Variable{"BLIS_NUM_THREADS", true},
    Variable{"NUMEXPR_NUM_THREADS", true},
    Variable{"VECLIB_MAXIMUM_THREADS", false},
    Variable{"NUMBA_NUM_THREADS", false},
    Variable{kOpenMp, false},
};

// How one kind of library is told and asked. Symbols vary with how it was built: with 64-bit
// indices, or under the names that wheels give their own copy.
struct Library {
  const char* variable;
  std::vector<std::string> setters;
  std::vector<std::string> getters;
};

std::vector<Library> known_libraries() {
  std::vector<Library> known = {
      {"OPENBLAS_NUM_THREADS", {}, {}},
      {"MKL_NUM_THREADS", {"MKL_Set_Num_Threads"}, {"MKL_Get_Max_Threads"}},
      {"BLIS_NUM_THREADS", {"bli_thread_set_num_threads"}, {"bli_thread_get_num_threads"}},
      {kOpenMp, {"omp_set_num_threads"}, {"omp_get_max_threads"}},
  };
  for (const char* prefix : {"openblas_", "scipy_openblas_"}) {
    for (const char* suffix : {"", "64_", "_64", "_64_"}) {
      known[0].setters.push_back(std::string(prefix) + "set_num_threads" + suffix);
      known[0].getters.push_back(std::string(prefix) + "get_num_threads" + suffix);
    }
  }
  return known;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// What the environment asks of a library: its own variable first.
bool environment_differs(const char* variable, int threads) {
  const char* value = std::getenv(is_set(variable) ? variable : kOpenMp);
  if (value == nullptr || *value == '\0') return false;
  const std::string_view text = value;
  int wanted = 0;
  std::from_chars(text.data(), text.data() + text.size(), wanted);
  return wanted != threads;
}

std::vector<std::string> loaded_objects() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        const std::string_view name = info->dlpi_name != nullptr ? info->dlpi_name : "";
        if (!name.empty()) static_cast<std::vector<std::string>*>(to)->emplace_back(name);
        return 0;
      },
      &names);
  return names;
}

// The first of these that the object itself defines. One that it only finds in another object is
// that one's to be told, once.
void* find_own(void* object, const link_map* map, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    void* symbol = dlsym(object, name.c_str());
    if (symbol == nullptr) continue;
    Dl_info info{};
    if (dladdr(symbol, &info) != 0 &&
        reinterpret_cast<std::uintptr_t>(info.dli_fbase) == map->l_addr) {
      return symbol;
    }
  }
  return nullptr;
}

void cap(void* object, const link_map* map, const Library& library, int threads) {
  void* setter = find_own(object, map, library.setters);
  if (setter == nullptr) return;
  // Telling OpenBLAS what it knows would start its threads here and now.
  void* getter = find_own(object, map, library.getters);
  if (getter != nullptr && reinterpret_cast<int (*)()>(getter)() == threads) return;
  reinterpret_cast<void (*)(int)>(setter)(threads);
}

}  // namespace

void cap_threads_of_imports(int threads) {
  if (threads <= 0) return;
  const PyRef os = PyRef::steal(PyImport_ImportModule("os"));
  const PyRef environment =
      os ? PyRef::steal(PyObject_GetAttrString(os.get(), "environ")) : PyRef();
  const std::string text = std::to_string(threads);
  const bool openmp_is_set = is_set(kOpenMp);
  for (const Variable& variable : kVariables) {
    if (!environment || (variable.follows_openmp && openmp_is_set)) continue;
    PyRef::steal(
        PyObject_CallMethod(environment.get(), "setdefault", "ss", variable.name, text.c_str()));
  }
  PyErr_Clear();
}

void cap_threads_of_loaded(int threads) {
  if (threads <= 0) return;
  const std::vector<Library> known = known_libraries();
  for (const std::string& name : loaded_objects()) {
    void* object = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (object == nullptr) continue;
    link_map* map = nullptr;
    if (dlinfo(object, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr) {
      for (const Library& library : known) {
        if (!environment_differs(library.variable, threads)) cap(object, map, library, threads);
      }
    }
    dlclose(object);
  }
}

}  // namespace pyhost::worker
