#include <Python.h>
#include <base/fork_guard.h>
#include <driver/handle.h>
#include <driver/records.h>
#include <driver/unlocked.h>
#include <python/ref.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace pyhost::driver {
namespace {

using python::PyRef;

constexpr std::string_view kMark = "\x1epyhost-record ";
// Records that wait for the courier. More are dropped, and counted: workers that log without end
// must not fill the driver.
constexpr std::size_t kMost = 20000;

struct Queue {
  std::mutex mutex;  // guards what is no atomic; never held while Python code can run
  std::condition_variable delivered;
  std::vector<std::string> records;
  std::uint64_t dropped = 0;
  bool running = false;
  std::thread::id courier;
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> handled{0};
  unsigned generation = base::fork_generation();
};

// Never destroyed; a forked copy starts with a new one: see completions.cc.
Queue& queue() {
  static Queue* current = new Queue;
  if (current->generation != base::fork_generation()) current = new Queue;
  return *current;
}

void hand_over(const std::vector<std::string>& records, std::uint64_t dropped) {
  const PyRef module = PyRef::steal(PyImport_ImportModule("pyhost._records"));
  const PyRef list = PyRef::steal(PyList_New(0));
  for (const std::string& record : records) {
    const PyRef text = PyRef::steal(
        PyBytes_FromStringAndSize(record.data(), static_cast<Py_ssize_t>(record.size())));
    if (list && text) PyList_Append(list.get(), text.get());
  }
  if (!module || !list ||
      !PyRef::steal(PyObject_CallMethod(module.get(), "handle", "OK", list.get(),
                                        static_cast<unsigned long long>(dropped)))) {
    PyErr_WriteUnraisable(module.get());
  }
}

// Runs as long as there are records.
void deliver_all(Queue& waiting) {
  const OurThread ours;
  std::unique_lock lock(waiting.mutex);
  waiting.courier = std::this_thread::get_id();
  while (!waiting.records.empty()) {
    const std::vector<std::string> records = std::exchange(waiting.records, {});
    const std::uint64_t dropped = std::exchange(waiting.dropped, 0);
    lock.unlock();
    if (!interpreter_is_ending()) {
      const PyGILState_STATE state = PyGILState_Ensure();
      hand_over(records, dropped);
      PyGILState_Release(state);
    }
    lock.lock();
    waiting.handled += records.size();
    waiting.delivered.notify_all();
  }
  waiting.running = false;
  waiting.courier = {};
}

void push(std::string_view record) {
  Queue& waiting = queue();
  const std::lock_guard lock(waiting.mutex);
  if (waiting.records.size() >= kMost) {
    ++waiting.dropped;
    return;
  }
  waiting.records.emplace_back(record);
  ++waiting.taken;
  if (std::exchange(waiting.running, true)) return;
  std::thread([&waiting] { deliver_all(waiting); }).detach();
}

}  // namespace

std::string take_records(std::string_view lines, bool deliver) {
  std::string rest;
  for (;;) {
    const std::size_t mark = lines.find(kMark);
    rest.append(lines.substr(0, mark));
    if (mark == std::string_view::npos) return rest;
    lines.remove_prefix(mark + kMark.size());
    const std::size_t end = lines.find('\n');
    if (deliver) push(lines.substr(0, end));
    if (end == std::string_view::npos) return rest;
    lines.remove_prefix(end + 1);
  }
}

void await_records() {
  Queue& waiting = queue();
  const std::uint64_t taken = waiting.taken.load();
  if (waiting.handled.load() >= taken) return;
  without_gil([&] {
    std::unique_lock lock(waiting.mutex);
    if (waiting.courier == std::this_thread::get_id()) return;
    waiting.delivered.wait_for(lock, std::chrono::seconds(1),
                               [&] { return waiting.handled.load() >= taken; });
  });
}

}  // namespace pyhost::driver
