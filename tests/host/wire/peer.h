// peer.h: the simplest worker there can be, and a ledger of what it did that outlives it.
//
// An item is `u64 length, bytes`; the bytes are a Task and filler. The peer enters the task in the
// ledger and replies with the same task and filler of its own.
#pragma once

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <base/clock.h>
#include <wire/worker_end.h>

namespace pyhost::wire::test {

struct Task {
  std::uint32_t id = 0;
  std::uint32_t reply_bytes = 0;  // filler
  std::uint32_t work_ns = 0;
  std::uint32_t dies = 0;  // 1: before the work, 2: after it
};

// How often each task ran, in memory that every process shares.
class Ledger {
 public:
  explicit Ledger(std::size_t tasks) : bytes_(tasks) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    counts_ = static_cast<std::atomic<std::uint8_t>*>(memory);
  }
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() { munmap(counts_, bytes_); }

  std::size_t size() const { return bytes_; }
  void enter(std::uint32_t task) { counts_[task].fetch_add(1); }
  int runs(std::uint32_t task) const { return counts_[task].load(); }

 private:
  std::size_t bytes_;
  std::atomic<std::uint8_t>* counts_ = nullptr;
};

inline std::string item_of(const Task& task, std::size_t filler) {
  const std::uint64_t length = sizeof task + filler;
  std::string item(sizeof length + length, static_cast<char>('A' + task.id % 26));
  std::memcpy(item.data(), &length, sizeof length);
  std::memcpy(item.data() + sizeof length, &task, sizeof task);
  return item;
}

inline void work(std::uint32_t nanoseconds) {
  const base::Deadline until = base::Deadline::in(std::chrono::nanoseconds(nanoseconds));
  while (!until.passed()) {
  }
}

inline void run_item(WorkerEnd& end, const Incoming& call, std::uint32_t item, const Task& task,
                     Ledger& ledger) {
  if (task.dies == 1) raise(SIGKILL);
  ledger.enter(task.id);
  work(task.work_ns);
  if (task.dies == 2) raise(SIGKILL);
  std::string filler(task.reply_bytes, static_cast<char>('a' + task.id % 26));
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(&task, 1)),
                                              std::as_bytes(std::span(filler))};
  Outgoing outgoing;
  outgoing.batch = call.envelope.batch;
  outgoing.item = item;
  outgoing.claimed_ns = end.claimed_ns();
  for (;;) {
    const auto sent = end.reply(outgoing, parts);
    if (!sent.ok()) std::abort();
    if (*sent) return;
    end.wait_room();
  }
}

// Takes calls until it is told to retire.
inline void peer_loop(WorkerEnd& end, Ledger& ledger) {
  for (;;) {
    const auto call = end.next();
    if (!call) {
      end.wait();
      continue;
    }
    if (call->envelope.kind == Kind::retire) return;
    const std::byte* place = call->payload.data();
    for (std::uint32_t item = 0; item < call->envelope.end; ++item) {
      std::uint64_t length = 0;
      Task task;
      std::memcpy(&length, place, sizeof length);
      std::memcpy(&task, place + sizeof length, sizeof task);
      place += sizeof length + length;
      if (item < call->envelope.first) continue;
      if (!end.claim(*call, item)) break;
      run_item(end, *call, item, task, ledger);
    }
    end.passed(*call);
  }
}

}  // namespace pyhost::wire::test
