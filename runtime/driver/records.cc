#include <Python.h>
#include <base/per_process.h>
#include <driver/handle.h>
#include <driver/records.h>
#include <driver/unlocked.h>
#include <python/ref.h>
#include <sys/random.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace pyhost::driver {
namespace {

using python::PyRef;

// Records and parts of long ones that wait for the courier, and their bytes. More are dropped, and
// counted: workers that log without end must not fill the driver.
constexpr std::size_t kMost = 20000;
constexpr std::size_t kMostBytes = 64 * 1024 * 1024;

std::string make_mark() {
  std::array<unsigned char, 16> token;
  if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) return {};
  std::string mark = "\x1epyhost-record ";
  for (const unsigned byte : token) {
    mark.push_back("0123456789abcdef"[byte / 16]);
    mark.push_back("0123456789abcdef"[byte % 16]);
  }
  return mark + " ";
}

// Never destroyed: lines are printed until the process is gone.
const std::string& kMark = *new std::string(make_mark());

// Records that are handed over at once. `end_records` waits for those; fewer take longer each.
constexpr std::size_t kBatch = 64;

// How long a handler may take before nobody waits for it any more: it may wait for who does.
constexpr std::chrono::seconds kPatience(1);

struct Queue {
  std::mutex mutex;  // guards what is no atomic; never held while Python code can run
  std::condition_variable delivered;
  std::deque<std::string> records;
  std::size_t bytes = 0;  // of the records
  std::uint64_t dropped = 0;
  bool running = false;  // the courier
  bool ended = false;    // it hands nothing over any more
  std::thread::id courier;
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> handled{0};
};

constinit base::PerProcess<Queue> queue;

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

// Requires: the lock.
std::vector<std::string> take_batch(Queue& waiting) {
  std::vector<std::string> batch;
  while (!waiting.records.empty() && batch.size() < kBatch) {
    waiting.bytes -= waiting.records.front().size();
    batch.push_back(std::move(waiting.records.front()));
    waiting.records.pop_front();
  }
  return batch;
}

// Runs as long as there are records.
void deliver_all(Queue& waiting) {
  const OurThread ours;
  std::unique_lock lock(waiting.mutex);
  waiting.courier = std::this_thread::get_id();
  while (!waiting.records.empty() && !waiting.ended) {
    const std::vector<std::string> records = take_batch(waiting);
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
  waiting.delivered.notify_all();
}

// False: there can be no thread now, and the records stay for the next attempt. Requires: the lock.
bool start_courier(Queue& waiting) {
  if (waiting.running) return true;
  try {
    std::thread([&waiting] { deliver_all(waiting); }).detach();
  } catch (const std::system_error&) {
    return false;
  }
  waiting.running = true;  // before the courier has the lock
  return true;
}

// Of a record in parts, `:NAME INDEX LEFT PART`, all but the last. It counts as dropped with that
// one: here, or in pyhost._records where another part is missing.
bool is_followed(std::string_view line) {
  if (!line.starts_with(':')) return false;
  const std::size_t index = line.find(' ');
  const std::size_t left = line.find(' ', index == std::string_view::npos ? index : index + 1);
  return left != std::string_view::npos && !line.substr(left).starts_with(" 0 ");
}

void push(std::string_view record) {
  Queue& waiting = queue.get();
  const std::lock_guard lock(waiting.mutex);
  if (waiting.ended) return;
  if (waiting.records.size() >= kMost || waiting.bytes + record.size() > kMostBytes) {
    if (!is_followed(record)) ++waiting.dropped;
  } else {
    waiting.records.emplace_back(record);
    waiting.bytes += record.size();
    ++waiting.taken;
  }
  start_courier(waiting);
}

}  // namespace

std::string_view record_mark() {
  return kMark;
}

std::string take_records(std::string_view lines, bool deliver) {
  if (kMark.empty()) return std::string(lines);
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
  Queue& waiting = queue.get();
  const std::uint64_t taken = waiting.taken.load();
  if (waiting.handled.load() >= taken) return;
  without_gil([&] {
    std::unique_lock lock(waiting.mutex);
    if (waiting.courier == std::this_thread::get_id() || waiting.handled.load() >= taken) return;
    if (waiting.ended || !start_courier(waiting)) return;
    waiting.delivered.wait_for(lock, kPatience, [&] { return waiting.handled.load() >= taken; });
  });
}

void end_records() {
  await_records();
  Queue& waiting = queue.get();
  without_gil([&] {
    std::unique_lock lock(waiting.mutex);
    waiting.ended = true;
    if (waiting.courier == std::this_thread::get_id()) return;
    waiting.delivered.wait_for(lock, kPatience, [&] { return !waiting.running; });
  });
}

}  // namespace pyhost::driver
