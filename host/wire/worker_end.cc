// worker_end.cc: taking calls, claiming items, committing replies.
//
// The order of stores that nothing may change (host_end.cc says why):
//   claim:  claim_ns, claim word, then a second look at the record's `end`;
//   reply:  payload, envelope, reply_head, then a look at what the host wants;
//   sleep:  `sleeping`, then a second look at the word slept on.
// A worker killed between any two of them leaves the region as if the next had not begun.
#include <base/futex.h>
#include <base/memory.h>
#include <base/system.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/worker_state.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>
#include <string>
#include <thread>

namespace pyhost::wire {
namespace {

// How long free pages stay warm once there is nothing to do. Shorter: a steady trickle of long
// results pays for fresh pages each time. Longer: idle workers hold memory others need.
constexpr base::Duration kStaysWarm = std::chrono::milliseconds(100);

// How often a thread that may not sleep looks whether there is room. Shorter: burns CPU while the
// host is slow. Longer: replies wait that long.
constexpr auto kLooksForRoom = std::chrono::microseconds(200);

// A field of a record that the host may change at any time.
std::uint32_t load_shared(const std::uint32_t& field) {
  // C++20 has no atomic_ref to const; the page is mapped for reading only.
  return std::atomic_ref<std::uint32_t>(const_cast<std::uint32_t&>(field))
      .load(std::memory_order_seq_cst);
}

std::uint64_t cpu_now() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

Result<std::uint64_t> size_of(int fd) {
  struct stat status {};
  if (fstat(fd, &status) == 0) return static_cast<std::uint64_t>(status.st_size);
  return base::system_error(Code::startup, "cannot look at shared memory", errno);
}

}  // namespace

Result<WorkerEnd> WorkerEnd::attach(base::UniqueFd host_region, base::UniqueFd worker_region,
                                    base::UniqueFd doorbell) {
  const auto bytes = size_of(host_region.get());
  if (!bytes.ok()) return bytes.error();
  const auto own_bytes = size_of(worker_region.get());
  if (!own_bytes.ok()) return own_bytes.error();
  if (*bytes < kHeaderBytes || *bytes != *own_bytes) {
    return Error(Code::protocol, "the regions have " + std::to_string(*bytes) + " and " +
                                     std::to_string(*own_bytes) + " bytes; expected the same");
  }
  // Inherited: what a task forks must be able to read the arrays that are the task's arguments.
  auto host = base::Mapping::map(host_region.get(), *bytes, base::Access::read_only, true);
  if (!host.ok()) return std::move(host).error();
  const auto* header = std::launder(reinterpret_cast<const HostHeader*>(host->data()));
  if (header->magic != kMagic || header->version != kVersion || header->region_bytes != *bytes) {
    return Error(Code::protocol, "the host speaks version " + std::to_string(header->version) +
                                     " of the wire, this worker " + std::to_string(kVersion) +
                                     "; install both from one build");
  }
  auto own = base::Mapping::map(worker_region.get(), *bytes, base::Access::read_write);
  if (!own.ok()) return std::move(own).error();

  auto state = std::make_unique<State>(std::move(worker_region), std::move(doorbell),
                                       arena_begin(header->ring_bytes), *bytes);
  state->host_region = *std::move(host);
  state->worker_region = *std::move(own);
  state->theirs = header;
  state->ours = new (state->worker_region.data()) WorkerHeader{};
  state->ours->magic = kMagic;
  state->ours->version = kVersion;
  state->calls = Ring(state->host_region.data() + kHeaderBytes, header->ring_bytes);
  state->replies = Ring(state->worker_region.data() + kHeaderBytes, header->ring_bytes);
  return WorkerEnd(std::move(state));
}

WorkerEnd::WorkerEnd(std::unique_ptr<State> state) : state_(std::move(state)) {}
WorkerEnd::WorkerEnd(WorkerEnd&&) noexcept = default;
WorkerEnd& WorkerEnd::operator=(WorkerEnd&&) noexcept = default;
WorkerEnd::~WorkerEnd() = default;

// --- calls ---

std::optional<Incoming> WorkerEnd::next() {
  State& state = *state_;
  for (;;) {
    if (state.theirs->call_head.load(std::memory_order_acquire) == state.read) return std::nullopt;
    const std::uint32_t position = state.read;
    const Ring::Start start = state.calls.start(position);
    state.read = position + start.size;
    if (start.kind == Kind::pad) continue;
    Incoming incoming;
    incoming.envelope = state.calls.envelope(position);
    const std::byte* place = state.calls.at(position);
    incoming.record = std::launder(reinterpret_cast<const Envelope*>(place));
    incoming.next = state.read;
    const bool in_block = (incoming.envelope.flags & kInBlock) != 0;
    incoming.payload = {
        in_block ? state.host_region.data() + incoming.envelope.block : place + sizeof(Envelope),
        incoming.envelope.payload_bytes};
    return incoming;
  }
}

bool WorkerEnd::State::sleep(const std::atomic<std::uint32_t>& word, std::uint32_t seen,
                             std::uint32_t why, base::Deadline deadline) {
  ours->sleeping.store(why, std::memory_order_seq_cst);
  bool in_time = true;
  if (word.load(std::memory_order_seq_cst) == seen) {
    in_time = base::futex_wait(word, seen, deadline, base::Sharing::processes);
  }
  ours->sleeping.store(0, std::memory_order_relaxed);
  return in_time;
}

void WorkerEnd::wait() {
  State& state = *state_;
  const auto& head = state.theirs->call_head;
  const auto ready = [&] { return head.load(std::memory_order_acquire) != state.read; };
  if (state.spin.until(ready)) return;
  if (state.arena.committed_bytes() != 0) {
    if (state.sleep(head, state.read, 1, base::Deadline::in(kStaysWarm))) return;
    state.look_up_tail();
    state.arena.trim(0);
  }
  state.sleep(head, state.read, 1, base::Deadline::never());
}

std::uint64_t WorkerEnd::State::moment_of_claim(bool brisk) {
  if (!brisk) {
    brisk_left = 0;
    return base::nanoseconds(base::now());
  }
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  const std::uint64_t coarse = static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
                               static_cast<std::uint64_t>(time.tv_nsec);
  if (brisk_left-- > 0 && coarse == claimed_coarse_ns) return claimed_ns;
  brisk_left = 3;
  claimed_coarse_ns = coarse;
  return base::nanoseconds(base::now());
}

bool WorkerEnd::claim(const Incoming& call, std::uint32_t item, bool brisk) {
  State& state = *state_;
  if (item >= load_shared(call.record->end))
    return false;  // W1: the host knows, nothing was claimed
  const std::uint64_t moment = state.moment_of_claim(brisk);
  state.ours->claim_ns.store(moment, std::memory_order_relaxed);
  if ((call.envelope.flags & kTimesCpu) != 0) {
    state.ours->claim_cpu_ns.store(cpu_now(), std::memory_order_relaxed);
  }
  const std::uint64_t word = std::uint64_t{call.envelope.batch} << 32 | (item + 1);
  state.ours->claim.store(word, std::memory_order_seq_cst);  // W2
  if (item < load_shared(call.record->end)) {                // W3
    state.claimed_ns = moment;
    return true;
  }
  Outgoing stopped;
  stopped.kind = Kind::stopped;
  stopped.batch = call.envelope.batch;
  stopped.item = item;
  stopped.claimed_ns = moment;
  for (;;) {
    const auto sent = reply(stopped, {});
    if (!sent.ok() || *sent) return false;
    wait_room();
  }
}

bool WorkerEnd::interrupted(const Incoming& call, std::uint32_t item) {
  return load_shared(call.record->interrupt) == item + 1;
}

std::uint64_t WorkerEnd::claimed_ns() const {
  return state_->claimed_ns;
}

void WorkerEnd::passed(const Incoming& incoming) {
  State& state = *state_;
  state.ours->call_tail.store(incoming.next, std::memory_order_seq_cst);
  if (state.theirs->wants_room.load(std::memory_order_seq_cst) != 0) state.ring_bell();
}

// --- replies ---

void WorkerEnd::State::look_up_tail() {
  tail = theirs->reply_tail.load(std::memory_order_acquire);
  while (!lent.empty() && head - lent.front().record_end >= head - tail) {
    arena.release(lent.front().block);
    lent.pop_front();
  }
}

bool WorkerEnd::State::has_room(std::uint32_t bytes) {
  if (replies.bytes() - (head - tail) >= bytes) return true;
  look_up_tail();
  return replies.bytes() - (head - tail) >= bytes;
}

// False: no room in the arena until the host takes more.
Result<bool> WorkerEnd::State::store_block(std::span<const std::span<const std::byte>> parts,
                                           std::uint64_t bytes, Envelope& envelope) {
  look_up_tail();
  auto block = arena.allocate(bytes);
  if (!block.ok()) {
    if (!lent.empty()) return false;
    return std::move(block).error();
  }
  std::byte* to = worker_region.data() + *block;
  for (const auto part : parts) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  envelope.block = *block;
  envelope.flags |= kInBlock;
  return true;
}

void WorkerEnd::State::ring_bell() const {
  const std::uint64_t one = 1;
  // An eventfd that is full has been rung; one that is gone has no owner.
  [[maybe_unused]] const ssize_t rung = write(doorbell.get(), &one, sizeof one);
}

// Once per look of the host: while it has not taken the record it was last told of, it is bound
// to come for it, and then sees this one too (it stores reply_tail, then loads reply_head).
void WorkerEnd::State::announce() {
  const std::uint32_t wants = theirs->wants.load(std::memory_order_seq_cst);
  if (wants == 0) {
    announced_wants = 0;  // announced_head grows stale; positions wrap, so do not compare it later
    return;
  }
  const std::uint32_t taken = theirs->reply_tail.load(std::memory_order_seq_cst);
  const bool told = static_cast<std::int32_t>(announced_head - taken) > 0;
  if (told && announced_wants == wants) return;
  announced_head = head;
  announced_wants = wants;
  if ((wants & kWakeFutex) != 0) {
    base::futex_wake(ours->reply_head, INT_MAX, base::Sharing::processes);
  }
  if ((wants & kRingBell) != 0) ring_bell();
}

Result<bool> WorkerEnd::reply(const Outgoing& outgoing,
                              std::span<const std::span<const std::byte>> parts) {
  State& state = *state_;
  std::uint64_t bytes = 0;
  for (const auto part : parts) bytes += part.size();
  const bool in_block = bytes > longest_inline(state.replies.bytes());

  Envelope envelope;
  envelope.size = Ring::record_bytes(in_block ? 0 : bytes);
  envelope.kind = outgoing.kind;
  envelope.codec = outgoing.codec;
  envelope.flags = outgoing.flags;
  envelope.status = outgoing.status;
  envelope.claimed_ns = outgoing.claimed_ns;
  if (outgoing.kind != Kind::ready && outgoing.kind != Kind::release) {
    envelope.batch = outgoing.batch;
    envelope.first = outgoing.item;
  }
  if (outgoing.kind == Kind::release) envelope.block = outgoing.block;
  if (outgoing.kind == Kind::reply) envelope.function = outgoing.peak_kib;
  envelope.payload_bytes = bytes;
  const std::uint32_t padding = state.replies.padding(state.head, envelope.size);
  if (!state.has_room(padding + envelope.size)) return false;
  if (in_block) {
    auto stored = state.store_block(parts, bytes, envelope);
    if (!stored.ok() || !*stored) return stored;
  }

  state.replies.write_padding(state.head, padding);
  const std::uint32_t position = state.head + padding;
  if (!in_block) {
    std::byte* to = state.replies.at(position) + sizeof(Envelope);
    for (const auto part : parts) {
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
  }
  state.commit_record(position, envelope);
  return true;
}

void WorkerEnd::State::commit_record(std::uint32_t position, const Envelope& envelope) {
  replies.write(position, envelope);
  head = position + envelope.size;
  if ((envelope.flags & kInBlock) != 0) lent.push_back({head, envelope.block});
  ours->reply_head.store(head, std::memory_order_seq_cst);
  announce();
}

void WorkerEnd::wait_room() {
  State& state = *state_;
  const auto& tail = state.theirs->reply_tail;
  const auto ready = [&] { return tail.load(std::memory_order_acquire) != state.tail; };
  if (shared_) {
    // `sleeping` has room for one sleeper, which is the thread in `wait_beyond`.
    if (!ready()) std::this_thread::sleep_for(kLooksForRoom);
    return;
  }
  if (state.spin.until(ready)) return;
  state.sleep(tail, state.tail, 2, base::Deadline::never());
}

// --- several threads ---

void WorkerEnd::share() {
  shared_ = true;
}

std::uint32_t WorkerEnd::position() const {
  return state_->read;
}

bool WorkerEnd::spin(std::uint32_t position) {
  const auto& head = state_->theirs->call_head;
  return state_->spin.until([&] { return head.load(std::memory_order_acquire) != position; });
}

void WorkerEnd::wait_beyond(std::uint32_t position) {
  state_->sleep(state_->theirs->call_head, position, 1, base::Deadline::never());
}

bool WorkerEnd::is_warm() const {
  return state_->arena.committed_bytes() != 0;
}

void WorkerEnd::cool_down() {
  state_->look_up_tail();
  state_->arena.trim(0);
}

}  // namespace pyhost::wire
