// stacks.cc: asking workers where they are.
//
// A worker that runs C code, or waits, answers from its signal handler. A stopped one does not.
#include <algorithm>
#include <thread>

#include <base/system.h>
#include <pool/causes.h>
#include <pool/state.h>
#include <process/control.h>

namespace pyhost::pool {
namespace {

// How an answer ends: runtime/worker/forensics.h.
constexpr std::string_view kEnd = "pyhost: end of stacks\n";
// Between two looks for answers, which take a worker about as long.
constexpr base::Duration kLook = std::chrono::milliseconds(1);
// When two ask at the same time, the answer to one may be what the other took away. Shorter
// interrupts workers that are about to answer.
constexpr base::Duration kAskAgain = std::chrono::milliseconds(100);

}  // namespace

std::vector<WorkerStack> Engine::State::ask_stacks() {
  std::vector<WorkerStack> stacks;
  const base::Moment now = base::now();
  for (Worker& worker : workers) {
    if (!is_up(worker) || !worker.pidfd) continue;
    drain(worker);
    if (!is_up(worker)) continue;
    WorkerStack one;
    one.worker = worker.number;
    one.pid = worker.pid;
    for (const Worker::Running& running : worker.all_running(now, several())) {
      const double seconds = std::chrono::duration<double>(now - running.since).count();
      one.call += one.call.empty() ? "" : ", ";
      one.call += call_text(worker, *running.flight, running.flight->base + running.item);
      one.seconds = std::max(one.seconds, seconds);
    }
    clear_forensics(worker);
    base::send_signal(worker.pidfd.get(), process::interrupt_signal());
    stacks.push_back(std::move(one));
  }
  return stacks;
}

bool Engine::State::collect_stacks(std::vector<WorkerStack>& stacks) {
  bool all = true;
  for (WorkerStack& one : stacks) {
    if (!one.stack.empty()) continue;
    const auto worker = std::find_if(workers.begin(), workers.end(), [&](const Worker& other) {
      return other.number == one.worker && other.pid == one.pid;
    });
    if (worker == workers.end() || !is_up(*worker)) continue;  // it ended: no answer will come
    const std::string text = read_forensics(*worker);
    if (text.find(kEnd) == std::string::npos) {
      all = false;
      continue;
    }
    one.stack = stack_in(text);
    if (one.stack.empty()) one.stack = "no Python code runs\n";
    clear_forensics(*worker);
  }
  return all;
}

void Engine::State::ask_again(const std::vector<WorkerStack>& stacks) {
  for (const WorkerStack& one : stacks) {
    if (!one.stack.empty()) continue;
    for (const Worker& worker : workers) {
      if (worker.number != one.worker || worker.pid != one.pid || !worker.pidfd) continue;
      base::send_signal(worker.pidfd.get(), process::interrupt_signal());
    }
  }
}

std::vector<WorkerStack> Engine::stacks(base::Deadline deadline) {
  State& s = *state_;
  if (s.is_copy()) return {};
  State::Lock lock(s.mutex);
  std::vector<WorkerStack> stacks = s.ask_stacks();
  s.run_deferred(lock);
  base::Deadline again = base::Deadline::in(kAskAgain);
  while (!s.collect_stacks(stacks) && !deadline.passed()) {
    if (again.passed()) {
      s.ask_again(stacks);
      again = base::Deadline::never();
    }
    lock.unlock();
    std::this_thread::sleep_for(std::min(kLook, deadline.left()));
    lock.lock();
  }
  return stacks;
}

}  // namespace pyhost::pool
