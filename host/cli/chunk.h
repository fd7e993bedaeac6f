// chunk.h: one submitted batch of lines, and what became of each.
//
//   supervisor thread                    main thread
//   settle(item) --> slots_ --ring-->    poll(2) returns, `collect` prints what is due
//
// Why the main thread is not woken for every result: at 200,000 lines a second that would be as
// many context switches. While it is busy nobody rings; while it naps (a millisecond at most) only
// a finished chunk rings; only when it sleeps does every result.
#pragma once

#include <cli/bell.h>
#include <pool/engine.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace pyhost::cli {

// How deep the main thread rests, shared with every chunk.
//
// Threads: `settled` any, the rest the main thread.
class Rest {
 public:
  enum class Depth : std::uint8_t { awake, nap, sleep };

  explicit Rest(const Bell& bell) : bell_(bell) {}
  void set(Depth depth) { depth_.store(depth); }
  void settled(bool chunk_finished, std::size_t result_bytes);
  void collected(std::size_t result_bytes) { held_bytes_ -= result_bytes; }
  // Bytes of results that settled and were not collected.
  std::size_t held_bytes() const { return held_bytes_.load(); }
  // What a result takes on average so far: what items still on their way will add.
  std::size_t average_bytes() const {
    const std::uint64_t count = settled_.load();
    return count == 0 ? 0 : static_cast<std::size_t>(all_bytes_.load() / count);
  }
  // Changes with every settled item: when it did not change, there is nothing to collect.
  std::uint64_t settled_count() const { return settled_.load(); }

 private:
  const Bell& bell_;
  std::atomic<Depth> depth_{Depth::awake};
  std::atomic<std::uint64_t> settled_{0};
  std::atomic<std::size_t> held_bytes_{0};
  std::atomic<std::uint64_t> all_bytes_{0};
};

// Threads: `settle` any, the rest the main thread.
class Chunk final : public pool::Sink {
 public:
  Chunk(Rest& rest, std::uint64_t first_seq, std::vector<std::uint64_t> lines, std::size_t source);

  void settle(std::uint32_t item, pool::Outcome outcome) override;

  // Hands out outcomes that were not handed out yet, in item order or as they settled, until
  // `visit(item, outcome)` returns false. Returns how many.
  template <class Visit>
  std::size_t collect(bool in_order, const Visit& visit) {
    const std::lock_guard lock(mutex_);
    const std::size_t before = collected_;
    bool more = true;
    while (more && collected_ < slots_.size()) {
      if (!in_order && collected_ == order_.size()) break;
      const std::uint32_t item =
          in_order ? static_cast<std::uint32_t>(collected_) : order_[collected_];
      Slot& slot = slots_[item];
      if (!slot.settled) break;
      ++collected_;
      rest_.collected(slot.outcome.payload.size());
      more = visit(item, slot.outcome);
      slot.outcome.payload = std::string();
    }
    return collected_ - before;
  }
  bool finished() const { return collected_ == slots_.size(); }  // all handed out

  std::uint64_t seq(std::uint32_t item) const { return first_seq_ + item; }
  std::uint64_t line(std::uint32_t item) const { return lines_[item]; }
  std::size_t source() const { return source_; }
  std::size_t count() const { return slots_.size(); }

 private:
  struct Slot {
    bool settled = false;
    pool::Outcome outcome;
  };

  Rest& rest_;
  const std::uint64_t first_seq_;
  const std::vector<std::uint64_t> lines_;
  const std::size_t source_;
  std::mutex mutex_;
  std::vector<Slot> slots_;           // guarded by mutex_
  std::vector<std::uint32_t> order_;  // items as they settled; guarded by mutex_
  std::size_t collected_ = 0;
};

}  // namespace pyhost::cli
