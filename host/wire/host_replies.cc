// host_replies.cc: the reply ring, written by a worker that may be broken, lying or dead.
//
// The host reads its words once, into private memory, and decides on the copies only. Payloads in
// blocks are read with pread(2), not through a mapping: touching a page that the worker gave back
// could end in SIGBUS when memory is short.
#include <base/futex.h>
#include <base/system.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/frames.h>
#include <wire/host_state.h>
#include <wire/reply_check.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <string>

namespace pyhost::wire {
namespace {

Error rejected(const std::string& fault) {
  return Error(Code::protocol, "reply from the worker rejected: " + fault);
}

}  // namespace

bool HostEnd::replies_waiting() const {
  return state_->theirs->reply_head.load(std::memory_order_seq_cst) !=
         state_->tail.load(std::memory_order_relaxed);
}

// The worker writes its header before its first record.
Result<void> HostEnd::State::check_greeting() {
  if (greeted) return {};
  const std::uint64_t word = load_word(worker_start.data());
  const auto magic = static_cast<std::uint32_t>(word);
  const auto version = static_cast<std::uint32_t>(word >> 32);
  if (magic != kMagic) return rejected("its region starts with " + std::to_string(magic));
  if (version != kVersion) {
    return rejected("it speaks version " + std::to_string(version) + " of the wire, the host " +
                    std::to_string(kVersion));
  }
  greeted = true;
  return {};
}

void HostEnd::State::advance(std::uint32_t bytes) {
  const std::uint32_t next = tail.load(std::memory_order_relaxed) + bytes;
  tail.store(next, std::memory_order_relaxed);
  ours->reply_tail.store(next, std::memory_order_seq_cst);
  if (theirs->sleeping.load(std::memory_order_seq_cst) == 2) {
    base::futex_wake(ours->reply_tail, INT_MAX, base::Sharing::processes);
  }
}

// Puts the bounds of the next record, padding skipped, into `bounds`; false when there is none.
Result<bool> HostEnd::State::find_record(ReplyBounds& bounds) {
  for (;;) {
    const std::uint32_t position = tail.load(std::memory_order_relaxed);
    const std::uint32_t told = theirs->reply_head.load(std::memory_order_seq_cst);
    if (told == position) return false;
    if (auto greeting = check_greeting(); !greeting.ok()) return std::move(greeting).error();
    bounds.available = told - position;
    bounds.to_ring_end = replies.left_to_end(position);
    if (bounds.available > replies.bytes() || bounds.available % kRecordAlign != 0) {
      return rejected("it claims " + std::to_string(bounds.available) +
                      " unread bytes in a ring of " + std::to_string(replies.bytes()));
    }
    const Ring::Start start = replies.start(position);
    if (auto fault = start_fault(start, bounds)) return rejected(*fault);
    if (start.kind != Kind::pad) return true;
    if (start.size == replies.bytes()) return rejected("padding of a whole ring");
    advance(start.size);
  }
}

Result<void> HostEnd::State::copy_payload(const Envelope& envelope, std::uint32_t position,
                                          std::string& to) {
  if ((envelope.flags & kInBlock) == 0) {
    to.assign(reinterpret_cast<const char*>(replies.at(position) + sizeof(Envelope)),
              envelope.payload_bytes);
    return {};
  }
  return copy_block(envelope.block, envelope.payload_bytes, to);
}

Result<void> HostEnd::State::copy_block(std::uint64_t block, std::uint64_t bytes,
                                        std::string& to) const {
  // The file is sparse: a length that costs the worker nothing would cost us that much memory.
  struct stat status {};
  if (fstat(worker_fd.get(), &status) != 0) {
    return base::system_error(Code::protocol, "cannot look at the worker's memory", errno);
  }
  const auto held = static_cast<std::uint64_t>(status.st_blocks) * 512;
  if (bytes > held) {
    return rejected("payload length " + std::to_string(bytes) + " exceeds block size " +
                    std::to_string(held));
  }
  try {
    to.resize(bytes);
  } catch (const std::bad_alloc&) {
    return rejected("no memory for its payload of " + std::to_string(bytes));
  }
  std::size_t copied = 0;
  while (copied < to.size()) {
    const ssize_t got = pread(worker_fd.get(), to.data() + copied, to.size() - copied,
                              static_cast<off_t>(block + copied));
    if (got > 0) copied += static_cast<std::size_t>(got);
    if (got == 0) return rejected("its region ends within a payload");
    if (got < 0 && errno != EINTR) {
      return base::system_error(Code::protocol, "cannot read the worker's memory", errno);
    }
  }
  return {};
}

std::optional<OpenRun> HostEnd::open_run() const {
  const WorkerHeader& theirs = *state_->theirs;
  const std::uint64_t run = theirs.run.load(std::memory_order_acquire);
  const std::uint64_t bytes = theirs.run_bytes.load(std::memory_order_acquire);
  if (bytes == 0) return std::nullopt;
  Envelope envelope;  // the record that the run would become
  envelope.size = sizeof envelope;
  envelope.kind = Kind::results;
  envelope.flags = kInBlock;
  envelope.batch = static_cast<std::uint32_t>(run >> 32);
  envelope.first = static_cast<std::uint32_t>(run);
  envelope.end = envelope.first + 1;  // as many as the payload turns out to have
  const std::byte* start = state_->worker_start.data();
  envelope.block = load_word(start + offsetof(WorkerHeader, run_block));
  envelope.codec = static_cast<Codec>(load_word(start + offsetof(WorkerHeader, run_codec)) & 0xff);
  envelope.payload_bytes = bytes;
  const bool numbers = envelope.codec == Codec::i64 || envelope.codec == Codec::f64;
  if (numbers) {
    envelope.end = envelope.first + static_cast<std::uint32_t>(bytes / sizeof(std::int64_t));
  }
  ReplyBounds bounds;
  bounds.arena_begin = arena_begin(state_->sizes.ring_bytes);
  bounds.region_bytes = state_->sizes.region_bytes;
  if (envelope_fault(envelope, bounds)) return std::nullopt;
  OpenRun found{.batch = envelope.batch,
                .first = envelope.first,
                .codec = envelope.codec,
                .count = envelope.end - envelope.first};
  if (!state_->copy_block(envelope.block, bytes, found.payload).ok()) return std::nullopt;
  if (theirs.run_bytes.load(std::memory_order_acquire) < bytes) return std::nullopt;
  if (theirs.run.load(std::memory_order_acquire) != run) return std::nullopt;
  if (numbers) return found;
  const std::optional<std::uint32_t> frames = count_frames(found.payload);
  if (!frames) return std::nullopt;
  found.count = *frames;
  return found;
}

// One past the last item of the batch that a record not taken yet tells the start or the outcome
// of, at most `end`; 0 when there is none. `end` as well when the ring makes no sense: next_reply
// will say so.
std::uint32_t HostEnd::State::told_in_ring(std::uint32_t batch, std::uint32_t end) const {
  std::uint32_t position = tail.load(std::memory_order_relaxed);
  const std::uint32_t told = theirs->reply_head.load(std::memory_order_seq_cst);
  if (told - position > replies.bytes()) return end;
  std::uint32_t last = 0;
  while (position != told) {
    ReplyBounds bounds;
    bounds.available = told - position;
    bounds.to_ring_end = replies.left_to_end(position);
    const Ring::Start start = replies.start(position);
    if (start_fault(start, bounds)) return end;
    if (start.kind != Kind::pad) {
      const Envelope envelope = replies.envelope(position);
      const bool tells = envelope.kind == Kind::reply || envelope.kind == Kind::started;
      if (envelope.batch == batch && tells) last = std::max(last, envelope.first + 1);
      if (envelope.batch == batch && envelope.kind == Kind::results) {
        last = std::max(last, envelope.end);
      }
    }
    position += start.size;
  }
  return std::min(last, end);
}

// Whether a `stopped` settles the one item of its batch that is in doubt.
bool HostEnd::State::is_news(const Envelope& stopped) {
  for (Record& record : posted) {
    if (record.batch != stopped.batch || record.finished) continue;
    if (record.in_doubt == 0 || record.in_doubt - 1 != stopped.first) return false;
    record.in_doubt = 0;
    record.end = stopped.first;
    return true;
  }
  return false;
}

Result<std::optional<Reply>> HostEnd::next_reply() {
  State& state = *state_;
  // As many as a ring holds: a worker that only ever sends idle `stopped`s cannot keep us here.
  for (std::uint32_t i = 0; i < state.replies.bytes() / sizeof(Envelope); ++i) {
    ReplyBounds bounds;
    bounds.arena_begin = arena_begin(state.sizes.ring_bytes);
    bounds.region_bytes = state.sizes.region_bytes;
    auto found = state.find_record(bounds);
    if (!found.ok()) return std::move(found).error();
    if (!*found) break;
    const std::uint32_t position = state.tail.load(std::memory_order_relaxed);
    const Envelope envelope = state.replies.envelope(position);
    // Once more, on the copy: the size may have changed since it was looked at.
    if (auto fault = start_fault({envelope.size, envelope.kind}, bounds)) return rejected(*fault);
    if (auto fault = envelope_fault(envelope, bounds)) return rejected(*fault);
    if (envelope.kind == Kind::stopped && !state.is_news(envelope)) {
      state.advance(envelope.size);
      continue;
    }
    Reply reply;
    reply.kind = envelope.kind;
    reply.codec = envelope.codec;
    reply.status = envelope.status;
    reply.printed = (envelope.flags & kPrinted) != 0;
    reply.keeps = (envelope.flags & kKeeps) != 0;
    reply.batch = envelope.batch;
    reply.item = envelope.first;
    reply.end = envelope.end;
    reply.claimed_ns = envelope.claimed_ns;
    if (reply.kind == Kind::reply) reply.peak_bytes = std::uint64_t{envelope.function} << 10;
    reply.ran_ns = envelope.ran_ns;
    if (envelope.kind == Kind::release) reply.block = envelope.block;
    auto copied = state.copy_payload(envelope, position, reply.payload);
    if (!copied.ok()) return std::move(copied).error();
    const bool framed = reply.codec == Codec::json || reply.codec == Codec::pickle;
    if (reply.kind == Kind::results && framed &&
        count_frames(reply.payload) != reply.end - reply.item) {
      return rejected("its results are not those of " + std::to_string(reply.end - reply.item) +
                      " items");
    }
    state.advance(envelope.size);
    return std::optional<Reply>(std::move(reply));
  }
  return std::optional<Reply>();
}

}  // namespace pyhost::wire
