// chunk.cc: the side of the engine's threads.
#include <cli/chunk.h>

#include <utility>

namespace pyhost::cli {

void Rest::settled(bool chunk_finished, std::size_t result_bytes) {
  held_bytes_ += result_bytes;
  all_bytes_ += result_bytes;
  settled_.fetch_add(1);
  Depth depth = depth_.load();
  const bool wakes = depth == Depth::sleep || (depth == Depth::nap && chunk_finished);
  if (wakes && depth_.compare_exchange_strong(depth, Depth::awake)) bell_.ring();
}

Chunk::Chunk(Rest& rest, std::uint64_t first_seq, std::vector<std::uint64_t> lines,
             std::size_t source)
    : rest_(rest),
      first_seq_(first_seq),
      lines_(std::move(lines)),
      source_(source),
      slots_(lines_.size()) {
  order_.reserve(slots_.size());
}

void Chunk::settle(std::uint32_t item, pool::Outcome outcome) {
  bool finished = false;
  const std::size_t bytes = outcome.payload.size();
  {
    const std::lock_guard lock(mutex_);
    if (item >= slots_.size() || slots_[item].settled) return;
    slots_[item].outcome = std::move(outcome);
    slots_[item].settled = true;
    order_.push_back(item);
    finished = order_.size() == slots_.size();
  }
  rest_.settled(finished, bytes);
}

}  // namespace pyhost::cli
