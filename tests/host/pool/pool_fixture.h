// pool_fixture.h: pools of real workers for tests.
#pragma once

#include <gtest/gtest.h>
#include <pyhost/pyhost.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace pyhost::tests {

inline const std::string kVictims = std::string(PYHOST_TEST_FILES) + "/victims/";

inline Result<Pool> try_start(PoolOptions options) {
  setenv("PYHOST_RUNTIME_DIR", PYHOST_TEST_RUNTIME, 0);  // a sanitizer build borrows another one's
  if (options.python.empty()) options.python = "/usr/bin/python3";
  return Pool::start(options);
}

// The pool that most tests call: two workers on the victims' script.
inline Pool start_pool(PoolOptions options = {}) {
  if (options.script.empty() && options.module.empty())
    options.script = kVictims + "pool_script.py";
  if (options.workers.max == 0) options.workers = 2;
  return try_start(std::move(options)).value_or_throw();
}

// Whether the condition holds before a limit that only a hang reaches.
template <class Condition>
bool eventually(Condition condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// A fresh folder, removed with everything in it.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pyhost-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace pyhost::tests
