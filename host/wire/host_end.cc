// host_end.cc: posting calls, taking replies, revoking.
//
// Who may overwrite what. The room of a posted record, and its block, are used again when BOTH
// hold: the host finished it (until then it may have to be posted to another worker) and the
// worker passed it (until then it may be read). The first is the private list `posted`, the second
// the worker's call_tail, which is believed only as far as it stays between our own positions.
//
// Why no item is lost or run twice when a batch is shrunk. Per item `i` of a batch:
//
//   worker: W1 load end, stop unless i < end         host: H1 store end
//           W2 store claim (batch, i + 1)                  H2 load claim
//           W3 load end, run if i < end,
//              else send `stopped` for i
//
// All five are sequentially consistent, so they have one order that everybody agrees on.
// - H2 sees no claim of `i`: then H2 comes before W2, so H1 comes before W3 and the worker will
//   see the lower end, at W1 or at W3. `i` never runs: the host may give it to somebody else at
//   once. (A `stopped` may still arrive; it says nothing new and is dropped.)
// - H2 sees `i` claimed: W3 may have come before H1 (it runs) or after (it does not). Only the
//   worker knows, and says so: a `reply` or a `stopped` follows. Items below `i` are in no doubt:
//   they were replied to before `i` was claimed, because a stopped worker claims nothing further
//   in that batch.
// So at most one item of a batch is in doubt at any time. A later batch in the claim word means
// that every earlier batch is through, and what was said of it is in the ring. How far it got is
// plain when the word said so before H1 already. When it only says so at H2, the worker may have
// met the lower end at W1, without a word, and gone on: then what ran is what the ring, or the word
// before H1, tells of.
//
// Wake-ups are the same pattern with two words: each side stores its news (call_head; sleeping)
// and then loads the other's, so at least one of them notices.
#include <base/system.h>
#include <fcntl.h>
#include <wire/host_state.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>

namespace pyhost::wire {
namespace {

std::atomic_ref<std::uint32_t> end_word(std::byte* record) {
  auto* end = reinterpret_cast<std::uint32_t*>(record + offsetof(Envelope, end));
  return std::atomic_ref<std::uint32_t>(*end);
}

bool valid(const Sizes& sizes) {
  const std::uint32_t ring = sizes.ring_bytes;
  return ring >= kLeastRingBytes && ring <= kMostRingBytes && (ring & (ring - 1)) == 0 &&
         sizes.region_bytes % kPageBytes == 0 &&
         sizes.region_bytes >= arena_begin(ring) + kPageBytes;
}

// Numbers of batches wrap, so they are compared by distance.
std::int32_t batches_ahead(const Posted& posted, std::uint64_t word) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(word >> 32) - posted.batch);
}

// Whether the worker went on to a later batch.
bool is_behind(const Posted& posted, std::uint64_t word) {
  return word != 0 && batches_ahead(posted, word) > 0;
}

// Items of the batch that are claimed according to this claim word.
std::uint32_t claimed_of(const Posted& posted, std::uint64_t word, std::uint32_t end) {
  if (is_behind(posted, word)) return end;
  if (word == 0 || batches_ahead(posted, word) < 0) return posted.first;
  return std::min(static_cast<std::uint32_t>(word), end);
}

}  // namespace

Result<void> HostEnd::State::map() {
  const std::uint64_t front = arena_begin(sizes.ring_bytes);
  for (const int fd : {host_fd.get(), worker_fd.get()}) {
    if (auto done = base::commit(fd, 0, front); !done.ok()) return done;
  }
  auto host = base::Mapping::map(host_fd.get(), sizes.region_bytes, base::Access::read_write);
  if (!host.ok()) return std::move(host).error();
  auto worker = base::Mapping::map(worker_fd.get(), front, base::Access::read_only);
  if (!worker.ok()) return std::move(worker).error();
  host_region = *std::move(host);
  worker_start = *std::move(worker);
  ours = new (host_region.data()) HostHeader{};
  ours->magic = kMagic;
  ours->version = kVersion;
  ours->ring_bytes = sizes.ring_bytes;
  ours->region_bytes = sizes.region_bytes;
  theirs = std::launder(reinterpret_cast<const WorkerHeader*>(worker_start.data()));
  calls = Ring(host_region.data() + kHeaderBytes, sizes.ring_bytes);
  replies = Ring(worker_start.data() + kHeaderBytes, sizes.ring_bytes);
  return {};
}

Result<HostEnd> HostEnd::create(const Sizes& sizes) {
  if (!valid(sizes)) {
    return Error(Code::startup, "a ring of " + std::to_string(sizes.ring_bytes) +
                                    " bytes in a region of " + std::to_string(sizes.region_bytes) +
                                    " is not possible; rings are powers of two from 512, regions "
                                    "whole pages with room for an arena");
  }
  auto host = base::create_memory("pyhost-calls", sizes.region_bytes);
  if (!host.ok()) return std::move(host).error();
  auto worker = base::create_memory("pyhost-replies", sizes.region_bytes);
  if (!worker.ok()) return std::move(worker).error();
  auto state = std::make_unique<State>(sizes, *std::move(host), *std::move(worker));
  if (auto mapped = state->map(); !mapped.ok()) return std::move(mapped).error();
  return HostEnd(std::move(state));
}

HostEnd::HostEnd(std::unique_ptr<State> state) : state_(std::move(state)) {}
HostEnd::HostEnd(HostEnd&&) noexcept = default;
HostEnd& HostEnd::operator=(HostEnd&&) noexcept = default;
HostEnd::~HostEnd() = default;

Result<base::UniqueFd> HostEnd::share_host_region() const {
  return base::reopen_read_only(state_->host_fd.get());
}

Result<base::UniqueFd> HostEnd::share_worker_region() const {
  base::UniqueFd copy(fcntl(state_->worker_fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return base::system_error(Code::startup, "cannot share a memory descriptor", errno);
  return copy;
}

Claim HostEnd::claim() const {
  const WorkerHeader& theirs = *state_->theirs;
  Claim claim;
  // The moment is written before the word it belongs to. It may thus be that of the next item,
  // about to be claimed, but only when the claimed one has been replied to.
  std::uint64_t word = theirs.claim.load(std::memory_order_seq_cst);
  for (int tries = 0; tries < 4; ++tries) {
    claim.claimed_ns = theirs.claim_ns.load(std::memory_order_acquire);
    claim.cpu_ns = theirs.claim_cpu_ns.load(std::memory_order_acquire);
    const std::uint64_t again = theirs.claim.load(std::memory_order_seq_cst);
    if (again == word) break;
    word = again;
  }
  claim.batch = static_cast<std::uint32_t>(word >> 32);
  claim.items = static_cast<std::uint32_t>(word);
  // A moment in the future would put off the item's deadline.
  claim.claimed_ns = std::min(claim.claimed_ns, base::nanoseconds(base::now()));
  return claim;
}

std::uint32_t HostEnd::shrink(Posted& posted, std::uint32_t end) {
  Record* record = state_->find(posted.position);
  if (record == nullptr) return posted.end;
  if (end < record->end) {
    end = std::max(end, posted.first);
    const auto& claims = state_->theirs->claim;
    const std::uint64_t before = claims.load(std::memory_order_seq_cst);
    end_word(state_->calls.at(posted.position)).store(end, std::memory_order_seq_cst);  // H1
    const std::uint64_t word = claims.load(std::memory_order_seq_cst);                  // H2
    std::uint32_t claimed = claimed_of(posted, word, record->end);
    if (is_behind(posted, word) && !is_behind(posted, before)) {
      claimed = std::max(claimed_of(posted, before, record->end),
                         state_->told_in_ring(posted.batch, record->end));
    }
    record->end = std::max(end, claimed);
    record->in_doubt = record->end > end ? record->end : 0;
  }
  posted.end = record->end;
  return posted.end;
}

void HostEnd::interrupt(const Posted& posted, std::uint32_t item) {
  if (state_->find(posted.position) == nullptr) return;
  std::byte* word = state_->calls.at(posted.position) + offsetof(Envelope, interrupt);
  std::atomic_ref<std::uint32_t>(*std::launder(reinterpret_cast<std::uint32_t*>(word)))
      .store(item + 1, std::memory_order_seq_cst);
}

Bytes HostEnd::payload(const Posted& posted) const {
  const std::byte* start = posted.block != 0 ? state_->host_region.data() + posted.block
                                             : state_->calls.at(posted.position) + sizeof(Envelope);
  return Bytes(start, posted.payload_bytes);
}

void HostEnd::set_wants(std::uint32_t wants) {
  state_->ours->wants.store(wants, std::memory_order_seq_cst);
}

const std::atomic<std::uint32_t>& HostEnd::reply_word() const {
  return state_->theirs->reply_head;
}

std::uint64_t HostEnd::committed_bytes() const {
  return state_->arena.committed_bytes();
}

void HostEnd::trim(std::uint64_t keep_bytes) {
  state_->reclaim();
  state_->arena.trim(keep_bytes);
}

}  // namespace pyhost::wire
