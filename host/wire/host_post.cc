// host_post.cc: the call ring, written by the host. Who may overwrite what: see host_end.cc.
#include <base/futex.h>
#include <wire/host_state.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace pyhost::wire {

Record* HostEnd::State::find(std::uint32_t position) {
  const auto distance = [this](std::uint32_t at) { return at - free_below; };
  const auto found = std::lower_bound(posted.begin(), posted.end(), position,
                                      [&](const Record& record, std::uint32_t wanted) {
                                        return distance(record.position) < distance(wanted);
                                      });
  return found != posted.end() && found->position == position ? &*found : nullptr;
}

void HostEnd::State::drop_block(Record& record) {
  if (record.block == 0) return;
  if (record.keep_block && !record.block_released) {
    kept.insert(record.block);
  } else {
    arena.release(record.block);
  }
  record.block = 0;
}

// Takes note of what the worker passed, and frees what is finished as well.
void HostEnd::State::reclaim() {
  const std::uint32_t told = theirs->call_tail.load(std::memory_order_seq_cst);
  if (told - passed <= head - passed) passed = told;
  while (!posted.empty()) {
    Record& oldest = posted.front();
    const std::uint32_t record_end = oldest.position + oldest.size;
    if (!oldest.finished || record_end - free_below > passed - free_below) break;
    drop_block(oldest);
    free_below = record_end;
    posted.pop_front();
  }
  const std::uint32_t unfinished = posted.empty() ? head : posted.front().position;
  free_below += std::min(unfinished - free_below, passed - free_below);
}

bool HostEnd::State::has_room(std::uint32_t bytes) {
  const auto fits = [&] { return calls.bytes() - (head - free_below) >= bytes; };
  if (fits()) return true;
  reclaim();
  if (fits()) return true;
  ask_for_room();
  return fits();
}

// The worker may be about to pass a record and then sleep for good: it is asked to ring.
void HostEnd::State::ask_for_room() {
  if (!waits_for_room) ours->wants_room.store(1, std::memory_order_seq_cst);
  waits_for_room = true;
  reclaim();
}

// The block with a copy of `payload`; nullopt when the arena has no room now.
Result<std::optional<std::uint64_t>> HostEnd::State::store_block(Bytes payload) {
  if (!arena.has_room(payload.size())) reclaim();
  if (!arena.has_room(payload.size())) ask_for_room();
  auto block = arena.allocate(payload.size());
  if (!block.ok()) {
    const bool later = arena.used_bytes() > 0 && !arena.has_room(payload.size());
    if (later) return std::optional<std::uint64_t>();
    return std::move(block).error();
  }
  std::memcpy(host_region.data() + *block, payload.data(), payload.size());
  return std::optional<std::uint64_t>(*block);
}

// Requires: kind, codec and the fields of a call or definition are set.
Result<std::optional<Posted>> HostEnd::State::append(Envelope envelope, Bytes payload) {
  const bool in_block = payload.size() > longest_inline(calls.bytes());
  envelope.size = Ring::record_bytes(in_block ? 0 : payload.size());
  envelope.payload_bytes = payload.size();
  const std::uint32_t padding = calls.padding(head, envelope.size);
  if (!has_room(padding + envelope.size)) return std::optional<Posted>();
  if (in_block) {
    auto block = store_block(payload);
    if (!block.ok()) return std::move(block).error();
    if (!*block) return std::optional<Posted>();
    envelope.block = **block;
    envelope.flags |= kInBlock;
  }
  if (waits_for_room) ours->wants_room.store(0, std::memory_order_relaxed);
  waits_for_room = false;

  calls.write_padding(head, padding);
  const std::uint32_t position = head + padding;
  calls.write(position, envelope);
  if (!in_block && !payload.empty()) {
    std::memcpy(calls.at(position) + sizeof(Envelope), payload.data(), payload.size());
  }
  const bool listed = envelope.kind == Kind::call || in_block;
  if (listed) {
    Record& record = posted.emplace_back();
    record.position = position;
    record.size = envelope.size;
    record.batch = envelope.batch;
    record.end = envelope.end;
    record.block = envelope.block;
    record.finished = envelope.kind != Kind::call;
  }
  head = position + envelope.size;
  ours->call_head.store(head, std::memory_order_seq_cst);
  return std::optional<Posted>(Posted{envelope.batch, position, envelope.first, envelope.end,
                                      envelope.payload_bytes, envelope.block});
}

Result<std::optional<Posted>> HostEnd::post(const Call& call) {
  Envelope envelope;
  envelope.kind = Kind::call;
  envelope.codec = call.codec;
  envelope.style = call.style;
  envelope.batch = state_->next_batch;
  envelope.function = call.function;
  envelope.first = call.first;
  envelope.end = call.end;
  envelope.result_codec = call.result_codec == Codec::none ? call.codec : call.result_codec;
  if (call.packs) envelope.flags |= kPacks;
  if (call.times_cpu) envelope.flags |= kTimesCpu;
  auto posted = state_->append(envelope, call.payload);
  if (!posted.ok() || !*posted) return posted;
  if (++state_->next_batch == 0) state_->next_batch = 1;  // 0 means none
  return posted;
}

Result<std::optional<Posted>> HostEnd::define(std::uint32_t function, Codec codec,
                                              Bytes definition) {
  Envelope envelope;
  envelope.kind = Kind::define;
  envelope.codec = codec;
  envelope.function = function;
  return state_->append(envelope, definition);
}

bool HostEnd::post_retire() {
  Envelope envelope;
  envelope.kind = Kind::retire;
  auto posted = state_->append(envelope, {});
  return posted.ok() && posted->has_value();
}

void HostEnd::notify() {
  if (state_->theirs->sleeping.load(std::memory_order_seq_cst) != 1) return;
  base::futex_wake(state_->ours->call_head, INT_MAX, base::Sharing::processes);
}

void HostEnd::finish(const Posted& posted, bool keep_block) {
  Record* record = posted.batch == 0 ? nullptr : state_->find(posted.position);
  if (record == nullptr || record->batch != posted.batch || record->finished) return;
  record->finished = true;
  record->keep_block = keep_block;
  const std::uint32_t record_end = record->position + record->size;
  const bool behind = record_end - state_->free_below <= state_->passed - state_->free_below;
  if (behind) state_->drop_block(*record);  // now, however long older batches take
  if (record == &state_->posted.front()) state_->reclaim();
}

void HostEnd::release_block(std::uint64_t block) {
  if (state_->kept.erase(block) != 0) {
    state_->arena.release(block);
    return;
  }
  for (Record& record : state_->posted) {
    if (record.block == block && block != 0) record.block_released = true;
  }
}

}  // namespace pyhost::wire
