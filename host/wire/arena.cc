// arena.cc: best fit over coalesced free ranges, and which pages of them are committed.
//
// Blocks hold payloads too long for a ring (tens of kilobytes and more), so a few tree operations
// are small beside the copy that follows. Best fit keeps blocks near the front: the untouched end
// of a region is its largest free range and is taken last, so warm pages are used again.
#include <base/memory.h>
#include <wire/arena.h>
#include <wire/ring.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace pyhost::wire {
namespace {

// Pages are committed this much at a time, doubling. Smaller first steps cost a system call for
// every few blocks; larger ones make one long payload hold memory it never uses.
constexpr std::uint64_t kFirstStep = std::uint64_t{1} << 20;
constexpr std::uint64_t kLastStep = std::uint64_t{64} << 20;

}  // namespace

struct Arena::State {
  using Ranges = std::map<std::uint64_t, std::uint64_t>;  // first byte -> one past the last

  int fd = -1;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  Ranges free;
  std::set<std::pair<std::uint64_t, std::uint64_t>> free_by_size;  // (bytes, first byte)
  std::unordered_map<std::uint64_t, std::uint64_t> used;           // first byte -> bytes
  Ranges committed;                                                // whole pages
  std::uint64_t used_bytes = 0;
  std::uint64_t committed_bytes = 0;
  std::uint64_t step = kFirstStep;
  bool changed = false;  // since the last trim

  void add_free(std::uint64_t first, std::uint64_t last);
  void remove_free(Ranges::iterator range);
  Result<void> cover(std::uint64_t first, std::uint64_t last);
  Result<void> commit_pages(std::uint64_t first, std::uint64_t last);
  std::uint64_t next_committed(std::uint64_t from) const;
  void decommit_pages(std::uint64_t first, std::uint64_t last, std::uint64_t& keep_bytes);
};

void Arena::State::remove_free(Ranges::iterator range) {
  free_by_size.erase({range->second - range->first, range->first});
  free.erase(range);
}

// Joins the range with its free neighbours.
void Arena::State::add_free(std::uint64_t first, std::uint64_t last) {
  const auto after = free.find(last);
  if (after != free.end()) {
    last = after->second;
    remove_free(after);
  }
  auto before = free.lower_bound(first);
  if (before != free.begin() && (--before)->second == first) {
    first = before->first;
    remove_free(before);
  }
  free.emplace(first, last);
  free_by_size.emplace(last - first, first);
}

std::uint64_t Arena::State::next_committed(std::uint64_t from) const {
  const auto next = committed.lower_bound(from);
  return next == committed.end() ? end : next->first;
}

Result<void> Arena::State::commit_pages(std::uint64_t first, std::uint64_t last) {
  if (auto done = base::commit(fd, first, last - first); !done.ok()) return done;
  committed_bytes += last - first;
  changed = true;
  const auto after = committed.find(last);
  if (after != committed.end()) {
    last = after->second;
    committed.erase(after);
  }
  auto before = committed.lower_bound(first);
  if (before != committed.begin() && (--before)->second == first) {
    before->second = last;
  } else {
    committed.emplace(first, last);
  }
  return {};
}

// Commits what is missing of [first, last).
Result<void> Arena::State::cover(std::uint64_t first, std::uint64_t last) {
  const std::uint64_t page_end = std::min(rounded_up(last, kPageBytes), end);
  std::uint64_t at = first & ~(kPageBytes - 1);
  while (at < page_end) {
    const auto next = committed.upper_bound(at);
    if (next != committed.begin() && std::prev(next)->second > at) {
      at = std::prev(next)->second;
      continue;
    }
    const std::uint64_t most = next_committed(at);
    const std::uint64_t least = std::min(page_end, most);
    const std::uint64_t ahead = std::min(std::max(least, at + step), most);
    if (ahead > least && commit_pages(at, ahead).ok()) {
      step = std::min(step * 2, kLastStep);
    } else if (auto done = commit_pages(at, least); !done.ok()) {
      return done;
    }
    at = least;
  }
  return {};
}

// Gives back the committed pages in [first, last), after the first `keep_bytes` of them.
void Arena::State::decommit_pages(std::uint64_t first, std::uint64_t last,
                                  std::uint64_t& keep_bytes) {
  first = rounded_up(first, kPageBytes);
  last = last == end ? end : last & ~(kPageBytes - 1);
  while (first < last) {
    auto range = committed.upper_bound(first);
    if (range != committed.begin() && std::prev(range)->second > first) --range;
    if (range == committed.end() || range->first >= last) return;
    std::uint64_t from = std::max(first, range->first);
    const std::uint64_t until = std::min(last, range->second);
    const std::uint64_t kept = std::min(keep_bytes & ~(kPageBytes - 1), until - from);
    keep_bytes -= kept;
    from += kept;
    if (from < until) {
      const std::uint64_t range_first = range->first;
      const std::uint64_t range_last = range->second;
      base::decommit(fd, from, until - from);
      committed_bytes -= until - from;
      committed.erase(range);
      if (range_first < from) committed.emplace(range_first, from);
      if (until < range_last) committed.emplace(until, range_last);
    }
    first = until;
  }
}

Arena::Arena(int fd, std::uint64_t begin, std::uint64_t end) : state_(std::make_unique<State>()) {
  state_->fd = fd;
  state_->begin = rounded_up(begin, kBlockAlign);
  state_->end = end;
  state_->add_free(state_->begin, end);
}

Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;
Arena::~Arena() = default;

bool Arena::has_room(std::uint64_t bytes) const {
  if (bytes > state_->end - state_->begin) return false;
  const std::uint64_t size = rounded_up(bytes + kBlockAlign, kBlockAlign);
  return !state_->free_by_size.empty() && state_->free_by_size.rbegin()->first >= size;
}

Result<std::uint64_t> Arena::allocate(std::uint64_t bytes) {
  State& state = *state_;
  if (!has_room(bytes)) {
    return Error(Code::backpressure, "no room for " + std::to_string(bytes) +
                                         " bytes in an arena of " +
                                         std::to_string(state.end - state.begin) + ", of which " +
                                         std::to_string(state.used_bytes) + " are in use");
  }
  const std::uint64_t size = rounded_up(bytes + kBlockAlign, kBlockAlign);
  const std::uint64_t first = state.free_by_size.lower_bound({size, 0})->second;
  if (auto done = state.cover(first, first + size); !done.ok()) return std::move(done).error();
  const auto range = state.free.find(first);
  const std::uint64_t last = range->second;
  state.remove_free(range);
  if (first + size < last) state.add_free(first + size, last);
  state.used.emplace(first, size);
  state.used_bytes += size;
  return first;
}

void Arena::release(std::uint64_t offset) {
  const auto block = state_->used.find(offset);
  if (block == state_->used.end()) return;
  const std::uint64_t size = block->second;
  state_->used.erase(block);
  state_->used_bytes -= size;
  state_->changed = true;
  state_->add_free(offset, offset + size);
}

std::uint64_t Arena::used_bytes() const {
  return state_->used_bytes;
}

std::uint64_t Arena::committed_bytes() const {
  return state_->committed_bytes;
}

void Arena::trim(std::uint64_t keep_bytes) {
  State& state = *state_;
  if (!state.changed || state.committed_bytes <= keep_bytes) return;
  state.changed = keep_bytes != 0;  // what is kept now may be wanted back by the next trim
  for (const auto& [first, last] : state.free) state.decommit_pages(first, last, keep_bytes);
  state.step = kFirstStep;
}

}  // namespace pyhost::wire
