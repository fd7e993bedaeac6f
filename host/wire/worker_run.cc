// worker_run.cc: runs of results.
//
// The order of stores that nothing may change: the words that say which run it is, while
// `run_bytes` is 0; a result, then `run_bytes`, then the next claim; the `results` record, then
// `run_bytes` = 0. So whenever the worker dies, each result stands in the run, in the ring, or in
// both.
#include <wire/worker_state.h>

#include <cstring>

namespace pyhost::wire {

bool WorkerEnd::open_run(std::uint32_t batch, std::uint32_t first, Codec codec,
                         std::uint64_t bytes) {
  State& state = *state_;
  state.look_up_tail();
  const auto block = state.arena.allocate(bytes);
  if (!block.ok()) return false;
  state.run_open = true;
  state.run_block = *block;
  state.run_capacity = bytes;
  state.run_bytes = 0;
  state.run_batch = batch;
  state.run_first = first;
  state.run_count = 0;
  state.run_codec = codec;
  state.run_began_ns = state.claimed_ns;
  state.ours->run_block = *block;
  state.ours->run_codec = codec;
  state.ours->run.store(std::uint64_t{batch} << 32 | first, std::memory_order_release);
  return true;
}

bool WorkerEnd::run_is_open() const {
  return state_->run_open;
}

std::span<std::byte> WorkerEnd::run_room() const {
  const State& state = *state_;
  return {state.worker_region.data() + state.run_block + state.run_bytes,
          state.run_capacity - state.run_bytes};
}

void WorkerEnd::commit_run(std::size_t bytes) {
  State& state = *state_;
  state.run_bytes += bytes;
  ++state.run_count;
  state.ours->run_bytes.store(state.run_bytes, std::memory_order_release);
}

bool WorkerEnd::close_run(std::uint8_t flags) {
  State& state = *state_;
  if (!state.run_open) return true;
  const bool in_block = state.run_bytes > longest_inline(state.replies.bytes());
  Envelope envelope;
  envelope.size = Ring::record_bytes(in_block ? 0 : state.run_bytes);
  envelope.kind = Kind::results;
  envelope.codec = state.run_codec;
  envelope.flags = flags;
  envelope.batch = state.run_batch;
  envelope.first = state.run_first;
  envelope.end = state.run_first + state.run_count;
  envelope.payload_bytes = state.run_bytes;
  envelope.claimed_ns = state.run_began_ns;
  envelope.ran_ns = base::nanoseconds(base::now()) - state.run_began_ns;
  if (state.run_count > 0) {
    const std::uint32_t padding = state.replies.padding(state.head, envelope.size);
    if (!state.has_room(padding + envelope.size)) return false;
    state.replies.write_padding(state.head, padding);
    const std::uint32_t position = state.head + padding;
    if (in_block) {
      envelope.block = state.run_block;
      envelope.flags |= kInBlock;
    } else {
      std::memcpy(state.replies.at(position) + sizeof envelope,
                  state.worker_region.data() + state.run_block, state.run_bytes);
    }
    state.commit_record(position, envelope);
  }
  state.ours->run_bytes.store(0, std::memory_order_release);
  // In the arena's books until the host took the record; nothing may be put there before.
  if (!in_block || state.run_count == 0) state.arena.release(state.run_block);
  state.run_open = false;
  return true;
}

}  // namespace pyhost::wire
