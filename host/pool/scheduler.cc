// scheduler.cc: which item runs on which worker, and when.
//
// A worker has credit while the measured time of what it has ahead is short. Tiny items travel in
// batches worth about a millisecond, long ones one by one; nothing is posted behind an item that
// turned out long, and what was posted behind it is taken back.
#include <algorithm>
#include <cassert>
#include <cstring>

#include <pool/state.h>
#include <wire/frames.h>

namespace pyhost::pool {
namespace {

constexpr std::uint32_t kMostItems = 4096;  // per record: bounds what one revocation walks over
// Seconds of work below which a part is not divided among workers. Halved: a map of tiny items pays
// for twice the records; doubled: its end waits for one worker by as much.
constexpr double kLeastShare = 2e-4;
constexpr std::uint32_t kMostNumbers = 32768;  // the same for items without frames
constexpr std::size_t kMostRecords = 1024;     // per worker: bounds the search for a reply's batch

// Skips `count` framed items from `offset` on.
std::size_t skip_items(std::string_view payload, std::size_t offset, std::uint32_t count) {
  std::string_view rest = payload.substr(offset);
  for (std::uint32_t i = 0; i < count; ++i) wire::take_frame(rest);
  return payload.size() - rest.size();
}

// The same range without its first `items`.
std::string later_range(const std::string& range, std::uint32_t items) {
  std::int64_t start_and_step[2];
  std::memcpy(start_and_step, range.data(), sizeof start_and_step);
  start_and_step[0] += start_and_step[1] * items;
  std::string later(sizeof start_and_step, '\0');
  std::memcpy(later.data(), start_and_step, sizeof start_and_step);
  return later;
}

bool is_numbers(wire::Codec codec) {
  return codec >= wire::Codec::i64;
}

wire::Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

void Engine::State::enqueue(Part part, bool front) {
  for (std::uint32_t i = part.first; i < part.end; ++i) queued += part.work->settled(i) ? 0 : 1;
  if (front) {
    ready.push_front(std::move(part));
  } else {
    ready.push_back(std::move(part));
  }
}

// The first items of a part as a payload of their own.
std::string Engine::State::slice(Part& part, std::uint32_t items) {
  const Submitted& work = *part.work;
  const std::string& payload = work.batch.payload;
  const std::uint32_t first = part.first;
  switch (work.batch.codec) {
    case wire::Codec::i64:
    case wire::Codec::f64:
      return payload.substr(first * sizeof(std::int64_t), items * sizeof(std::int64_t));
    case wire::Codec::range:
      return later_range(payload, first);
    default:
      break;
  }
  if (part.offset == std::string::npos) part.offset = skip_items(payload, 0, first);
  const std::size_t to =
      first + items == work.batch.count ? payload.size() : skip_items(payload, part.offset, items);
  return payload.substr(part.offset, to - part.offset);
}

// How many items of this function the worker may be given now; 0: none.
std::uint32_t Engine::State::credit(const Worker& worker, const Function& function,
                                    std::uint32_t most_items) const {
  if (several()) return concurrent_credit(worker, function);
  if (worker.stuck || worker.in_flight.size() >= kMostRecords) return 0;
  const std::uint32_t ahead = worker.ahead;
  if (function.item_seconds < 0) return ahead == 0 ? 1 : 0;
  const double seconds = std::max(function.item_seconds, kLeastSeconds);
  if (ahead == 0) {
    return static_cast<std::uint32_t>(
        std::clamp(kBatchSeconds / seconds, 1.0, static_cast<double>(most_items)));
  }
  const double room = kAheadSeconds / seconds - ahead;
  if (room < 1) return 0;
  return static_cast<std::uint32_t>(std::min(room, static_cast<double>(most_items)));
}

// The worker with the least ahead of it; the lowest number among equals, which is the one most
// likely to be still awake.
Worker* Engine::State::next_worker() {
  Worker* best = nullptr;
  std::uint32_t least = 0;
  for (Worker& worker : workers) {
    if (!worker.takes_calls()) continue;
    const std::uint32_t ahead = worker.ahead;
    if (best == nullptr || ahead < least) {
      best = &worker;
      least = ahead;
      if (ahead == 0) break;
    }
  }
  return best;
}

void Engine::State::pump() {
  if (fatal && !(ready.empty() && pinned == 0)) fail_queued(*fatal);
  if (pinned > 0) post_pinned();
  if (ready.empty()) return;
  std::uint64_t touched = 0;  // workers to wake, by number modulo 64
  while (!ready.empty()) {
    Worker* worker = next_worker();
    if (worker == nullptr || !post_some(*worker)) break;
    touched |= std::uint64_t{1} << (worker->number % 64);
  }
  if (!ready.empty()) want_more();
  if (touched == 0) return;
  for (Worker& worker : workers) {
    if (worker.wire && (touched >> (worker.number % 64) & 1) != 0) worker.wire->notify();
  }
}

bool Engine::State::define_on(Worker& worker, std::uint32_t function) {
  if (function < worker.defined.size() && worker.defined[function]) return true;
  const Function& known = functions[function];
  auto posted = worker.wire->define(function, known.codec, as_bytes(known.definition));
  if (!posted.ok()) {
    if (in_flight == 0) drop_front(posted.error());
    return false;
  }
  if (!posted->has_value()) return false;
  if (worker.defined.size() <= function) worker.defined.resize(function + 1);
  worker.defined[function] = true;
  return true;
}

// How many items of the part go into the next record for this worker; 0: none now.
std::uint32_t Engine::State::next_count(const Worker& worker, const Part& part) const {
  const Submitted& work = *part.work;
  const std::uint32_t most_items = is_numbers(work.batch.codec) ? kMostNumbers : kMostItems;
  const std::uint32_t allowed = worker.at_most(
      credit(worker, functions[work.batch.function], most_items), work.batch.items_per_call);
  if (allowed == 0) return 0;
  // A fair share, so that the end of a map does not wait for one worker; but not of so little that
  // its record costs more.
  const double seconds = functions[work.batch.function].item_seconds;
  const double least = seconds > 0 ? kLeastShare / seconds : 1;
  const std::uint64_t fair = (queued + worker_count - 1) / worker_count;
  const auto share = static_cast<double>(fair);
  const auto most = static_cast<std::uint32_t>(
      std::clamp(std::max(share, least), 1.0, static_cast<double>(allowed)));
  std::uint32_t end = part.first + 1;
  while (end < part.end && end - part.first < most && !work.settled(end)) ++end;
  return end - part.first;
}

// The first item of the queue can never be sent.
void Engine::State::drop_front(Error error) {
  Part& part = ready.front();
  --queued;
  fail(part.work, part.first, std::move(error), -1);
}

// Posts the front of the queue to `worker`, as far as its credit goes. False: nothing more can be
// posted now.
bool Engine::State::post_some(Worker& worker) {
  Part& part = ready.front();
  while (part.first < part.end && part.work->settled(part.first)) {
    ++part.first;
    part.offset = std::string::npos;
  }
  if (part.first == part.end) {
    ready.pop_front();
    return true;
  }
  Submitted& work = *part.work;
  std::uint32_t items = next_count(worker, part);
  if (items == 0 || !define_on(worker, work.batch.function)) return false;

  const std::uint64_t budget = options.max_shared_bytes;
  std::string piece;
  if (items < work.batch.count) piece = slice(part, items);
  if (items > 1 && (piece.empty() ? work.batch.payload : piece).size() > budget) {
    items = 1;
    piece = slice(part, 1);
  }
  const std::string& payload = piece.empty() ? work.batch.payload : piece;
  if (payload.size() > budget) {
    drop_front(Error(Code::backpressure,
                     "a call of " + std::to_string(payload.size()) +
                         " bytes exceeds the pool's budget of " + std::to_string(budget) +
                         " bytes of shared memory, by default a quarter of what the machine or its "
                         "container has; send less, or the name of a file"));
    return true;
  }
  if (shared_bytes + payload.size() > budget) return false;

  auto posted = worker.wire->post({.function = work.batch.function,
                                   .codec = work.batch.codec,
                                   .style = work.batch.style,
                                   .first = 0,
                                   .end = items,
                                   .result_codec = work.batch.result_codec,
                                   .packs = work.batch.packs,
                                   .times_cpu = cpu_of(work).has_value(),
                                   .payload = as_bytes(payload)});
  if (!posted.ok()) {
    if (in_flight > 0) return false;  // room comes back when something finishes
    drop_front(std::move(posted).error());
    return true;
  }
  if (!posted->has_value()) return false;
  record(worker, **posted, items);
  return true;
}

// The first `items` of the queue's front are with the worker from now on.
void Engine::State::record(Worker& worker, const wire::Posted& posted, std::uint32_t items) {
  Part& part = ready.front();
  Submitted& work = *part.work;
  const base::Moment now = base::now();
  worker.in_flight.push_back({.posted = posted,
                              .work = part.work,
                              .base = part.first,
                              .outstanding = items,
                              .posted_at = now});
  worker.ahead += items;
  ++work.flights;
  shared_bytes += posted.payload_bytes;
  queued -= items;
  in_flight += items;
  if (work.batch.count == 1 && posted.block != 0) {
    work.batch.payload = std::string();  // it lives in the worker's region now
    work.payload_posted = true;
  }
  want(worker, pollers > 0 ? 0 : wire::kRingBell);
  arm_limits(work, now);
  arm(now + (worker.ahead > 1 ? kLongItem : kClaimPatience));
  part.first += items;
  if (part.offset != std::string::npos) part.offset += posted.payload_bytes;
  if (part.first == part.end) ready.pop_front();
  count_given(worker, work.calls_in(items));
}

// Puts wire items [first, end) of a posted part back at the front of the queue.
void Engine::State::requeue(Worker& worker, InFlight& flight, std::uint32_t first,
                            std::uint32_t end) {
  if (first >= end) return;
  std::uint32_t items = 0;
  for (std::uint32_t i = first; i < end; ++i)
    items += flight.work->settled(flight.base + i) ? 0 : 1;
  flight.outstanding -= items;
  worker.ahead -= items;
  in_flight -= items;
  worker.given -= flight.work->calls_in(items);
  if (items == 0) return;
  restore_payload(worker, flight);
  Part part{flight.work, flight.base + first, flight.base + end};
  if (flight.work->broadcast != 0) {
    return_pinned(worker, std::move(part));
  } else {
    enqueue(std::move(part), true);
  }
}

void Engine::State::take_back(Worker& worker) {
  for (std::size_t i = worker.in_flight.size(); i-- > 0;) {
    InFlight& flight = worker.in_flight[i];
    const std::uint32_t before = flight.posted.end;
    const std::uint32_t from = worker.wire->shrink(flight.posted, flight.posted.first);
    if (from >= before) continue;
    requeue(worker, flight, from, before);
    flight.posted.end = from;
    if (flight.outstanding == 0) {
      finish(worker, worker.in_flight.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

void Engine::State::fail_queue(const Error& error, std::uint64_t spared) {
  std::deque<Part> parts;
  parts.swap(ready);
  queued = 0;
  for (Part& part : parts) {
    std::uint32_t item = part.first;
    for (; item < part.end && spared > 0; ++item) spared -= part.work->settled(item) ? 0 : 1;
    const std::uint32_t kept = item;
    for (; item < part.end; ++item) {
      if (!part.work->settled(item)) fail(part.work, item, error, -1);
    }
    part.end = kept;
    if (part.first < kept) enqueue(std::move(part), false);
  }
}

void Engine::State::fail_queued(const Error& error) {
  fail_queue(error, 0);
  fail_pinned(error);
  changed.notify_all();
}

}  // namespace pyhost::pool
